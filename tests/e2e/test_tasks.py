"""A dropped file becomes a served model, for each kind of task, driven only through AWS's APIs."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import as_csv, make_rows

TASKS = ("binary", "multiclass", "regression")


@pytest.fixture(scope="module")
def runs(laptop: DeployedLaptop) -> dict[str, dict[str, Any]]:
    """Drop a file with a few bad rows and a byte order mark for every task; returns the ended runs."""
    rows = make_rows()
    rows[10] = {**rows[10], "visits": "1,234"}
    rows[20] = {**rows[20], "plan": "gratis"}
    body = b"\xef\xbb\xbf" + as_csv(rows, newline="\r\n")
    keys = {task: f"task-{task}/customers.csv" for task in TASKS}
    versions = {task: laptop.drop(key, body) for task, key in keys.items()}
    return {task: laptop.run_of(f"task-{task}", keys[task], versions[task]) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_a_dropped_file_becomes_a_served_model(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]], task: str
) -> None:
    run = runs[task]
    assert run["status"] == "succeeded", run["error"]
    assert run["chosen"] in ("logistic", "linear")
    row = make_rows(1, seed=5)[0]
    asked = {name: row[name] for name in ("plan", "visits", "age", "seen_at")}
    answer = laptop.predict(f"task-{task}", [asked, {**asked, "age": None}])
    assert len(answer["predictions"]) == 2
    assert answer["model"]["run_id"] == run["run_id"]
    kinds = {"binary": (0, 1), "multiclass": ("bronze", "gold", "silver")}
    if task == "regression":
        assert all(isinstance(value, float) for value in answer["predictions"])
    else:
        assert set(answer["predictions"]) <= set(kinds[task])


@pytest.mark.parametrize("task", TASKS)
def test_bad_rows_go_to_quarantine_and_the_rest_goes_on(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]], task: str
) -> None:
    run = runs[task]
    found = {(item["code"], item["column"], item["row"]) for item in run["problems"]}
    assert {("type", "visits", 12), ("allowed", "plan", 22)} <= found
    assert run["files"][0]["rows_rejected"] == 2
    report = laptop.read_json(f"{run['quarantine_uri']}/report.json")
    assert report["files"][0]["rows_rejected"] == 2
    bucket, _, prefix = run["quarantine_uri"].removeprefix("s3://").partition("/")
    listed = laptop.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert any(item["Key"].endswith(".parquet") for item in listed)


def _mlflow(laptop: DeployedLaptop, path: str, document: dict[str, Any]) -> Any:
    url = f"http://127.0.0.1:{laptop.mlflow_port}/api/2.0/mlflow/{path}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_mlflow_has_a_finished_run_per_candidate_with_its_model_and_the_champion(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]
) -> None:
    run = runs["binary"]
    query = f"tags.`passerelle.run` = '{run['run_id']}-1'"
    experiment = run["mlflow_url"].split("/experiments/")[1].split("/")[0]
    found = _mlflow(laptop, "runs/search", {"experiment_ids": [experiment], "filter": query})["runs"]
    assert len(found) == 3
    assert {item["info"]["status"] for item in found} == {"FINISHED"}
    child = next(item for item in found if item["info"]["run_name"] == "logistic")
    assert any(metric["key"] == "validation_roc_auc" for metric in child["data"]["metrics"])
    assert any(param["key"] == "model" for param in child["data"]["params"])
    assert child["inputs"]["dataset_inputs"][0]["dataset"]["digest"] == run["dataset_id"]
    assert child["outputs"]["model_outputs"][0]["model_id"]
    version = urllib.request.urlopen(
        f"http://127.0.0.1:{laptop.mlflow_port}/api/2.0/mlflow/registered-models/alias?name=task-binary-laptop&alias=champion",
        timeout=30,
    )
    assert json.load(version)["model_version"]["version"] == run["model_version"]


def test_predictions_are_captured_in_sagemakers_layout(laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]) -> None:
    assert runs["binary"]["status"] == "succeeded"
    row = make_rows(1, seed=6)[0]
    laptop.predict("task-binary", [{name: row[name] for name in ("plan", "visits", "age", "seen_at")}])
    s3, bucket = laptop.client("s3"), laptop.resource("predictions-bucket")
    prefix = "task-binary/capture/passerelle-laptop-task-binary/champion/"
    deadline = time.monotonic() + 300
    records: list[dict[str, Any]] = []
    # The smoke test's request, in MLflow's split form, was captured before this one.
    while not any("dataframe_records" in record["captureData"]["endpointInput"]["data"] for record in records):
        assert time.monotonic() < deadline, records or "nothing was captured"
        time.sleep(0.5)
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
        records = [json.loads(line) for body in bodies for line in body.splitlines()]
    assert {record["captureData"]["endpointInput"]["encoding"] for record in records} == {"JSON"}


def _recorded(laptop: DeployedLaptop, project: str, entity: str, count: int) -> list[dict[Any, Any]]:
    return laptop.recorded(project, [entity], count).sort_values("request_row").to_dict("records")


def test_each_captured_prediction_is_recorded_with_model_version_inputs_and_decision(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]
) -> None:
    row = make_rows(1, seed=6)[0]
    sent = {name: row[name] for name in ("plan", "visits", "age", "seen_at", "customer")}
    answer = laptop.predict("task-binary", [sent] * 3)
    found = _recorded(laptop, "task-binary", row["customer"], 3)
    assert [record["request_row"] for record in found] == [0, 1, 2]
    for record in found:
        assert record["version"] == runs["binary"]["model_version"]
        assert (record["variant"], record["input_plan"], record["input_visits"]) == (
            "champion",
            row["plan"],
            row["visits"],
        )
        assert record["score"] == answer["probabilities"][0][1]
        assert record["decision"] == str(answer["decisions"][0]).lower()


def test_each_prediction_of_a_serverless_endpoint_is_recorded_by_way_of_its_log(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]
) -> None:
    row = make_rows(1, seed=9)[0] | {"customer": "of-the-log"}
    sent = {name: row[name] for name in ("plan", "visits", "age", "seen_at", "customer")}
    answer = laptop.predict("task-regression", [sent] * 2)
    found = _recorded(laptop, "task-regression", "of-the-log", 2)
    assert [record["request_row"] for record in found] == [0, 1]
    for record, prediction in zip(found, answer["predictions"], strict=True):
        assert (record["version"], record["variant"]) == (runs["regression"]["model_version"], "champion")
        assert (record["input_plan"], record["input_visits"]) == (row["plan"], row["visits"])
        assert record["score"] == prediction
        assert record["latency_ms"] > 0


def test_each_project_is_hosted_as_its_profile_says(laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]) -> None:
    sagemaker = laptop.client("sagemaker")
    for task, run in runs.items():
        name = sagemaker.describe_endpoint(EndpointName=run["endpoint_name"])["EndpointConfigName"]
        config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
        variant = config["ProductionVariants"][0]
        if task == "regression":
            assert variant["ServerlessConfig"]["MemorySizeInMB"] == 2048
            assert "InstanceType" not in variant
            assert "DataCaptureConfig" not in config
        else:
            assert variant["InstanceType"].startswith("ml.")
            assert config["DataCaptureConfig"]["InitialSamplingPercentage"] == 100


def test_every_stage_says_what_it_took_and_what_it_would_cost(runs: dict[str, dict[str, Any]]) -> None:
    stages = {stage["stage"]: stage for stage in runs["regression"]["stages"]}
    assert list(stages) == ["collect", "prepare", "train", "evaluate", "register", "deploy"]
    for name in ("prepare", "train", "evaluate"):
        assert stages[name]["billable_seconds"] >= 1
        assert stages[name]["cost_usd"] > 0


def test_the_command_line_predicts_and_tells_the_status(
    laptop: DeployedLaptop, runs: dict[str, dict[str, Any]]
) -> None:
    assert runs["regression"]["status"] == "succeeded"
    row = make_rows(1, seed=8)[0]
    text = json.dumps({name: row[name] for name in ("plan", "visits", "age", "seen_at")})
    answer = json.loads(laptop.passerelle("--json", "predict", "task-regression", "--row", text).stdout)
    assert len(answer["predictions"]) == 1
    status = json.loads(laptop.passerelle("--json", "status").stdout)
    served = {item["project"]: item["endpoint_status"] for item in status["projects"]}
    assert served["task-regression"] == "InService"
    refused = laptop.passerelle("predict", "task-regression", "--row", '{"plan": "pro"}', check=False)
    assert refused.returncode == 3
    assert "visits" in refused.stderr
