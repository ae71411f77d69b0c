"""What is dropped twice, together, under strange names, or after an earlier run."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passerelle.contracts.zones import split_s3_uri
from tests.e2e.platform import DeployedLaptop
from tests.e2e.projects import START, as_csv, make_rows
from tests.e2e.steady_load import wait_until


def test_the_same_bytes_under_a_new_name_are_told_the_run_that_processed_them(laptop: DeployedLaptop) -> None:
    body = as_csv(make_rows(400))
    first = laptop.run_of("twice", "twice/a.csv", laptop.drop("twice/a.csv", body))
    assert first["status"] == "succeeded", first["error"]
    second = laptop.run_of("twice", "twice/b.csv", laptop.drop("twice/b.csv", body))
    assert second["status"] == "duplicate"
    assert second["duplicate_of"] == first["run_id"]
    assert second["model_version"] is None
    again = json.loads(laptop.passerelle("--json", "reproduce", first["run_id"]).stdout)
    assert (again["equal"], again["candidate"], again["differences"]) == (True, first["chosen"], [])


def test_the_same_event_twice_makes_one_run(laptop: DeployedLaptop) -> None:
    events, body = laptop.client("lambda"), as_csv(make_rows(400, seed=3))
    version = laptop.drop("names/l'été à Orly.csv", body)
    detail = {"bucket": {"name": laptop.raw_bucket}, "object": {"key": "names/l'été à Orly.csv", "version-id": version}}
    function = next(
        item["FunctionName"]
        for page in events.get_paginator("list_functions").paginate()
        for item in page["Functions"]
        if "ClaimDrop" in item["FunctionName"]
    )
    for _ in range(3):
        answer = events.invoke(FunctionName=function, Payload=json.dumps({"detail": detail}).encode())
        assert "FunctionError" not in answer, answer["Payload"].read()
    run = laptop.run_of("names", "names/l'été à Orly.csv", version)
    assert run["status"] == "succeeded", run["error"]
    assert len(laptop.runs("names")) == 1


def test_files_dropped_together_make_one_run(laptop: DeployedLaptop) -> None:
    rows = make_rows(800)
    first = laptop.drop("together/part-1.csv", as_csv(rows[:400]))
    second = laptop.drop("together/part-2.csv", as_csv(rows[400:]))
    runs = [
        laptop.run_of("together", "together/part-1.csv", first),
        laptop.run_of("together", "together/part-2.csv", second),
    ]
    assert runs[0]["run_id"] == runs[1]["run_id"]
    assert runs[0]["status"] == "succeeded", runs[0]["error"]
    assert sum(file["rows_accepted"] for file in runs[0]["files"]) == 800


def test_a_later_drop_trains_on_everything_and_is_compared_with_the_champion(
    laptop: DeployedLaptop, tmp_path: Path
) -> None:
    first = laptop.run_of("champion", "champion/1.csv", laptop.drop("champion/1.csv", as_csv(make_rows(500))))
    assert first["status"] == "succeeded", first["error"]
    later = make_rows(300, seed=9, start=START.replace(year=2025))
    asked = make_rows(400)
    with asked_all_the_time(laptop, "passerelle-laptop-champion", asked, ("customer", "seen_at", "plan", "visits")):
        second = laptop.run_of("champion", "champion/2.csv", laptop.drop("champion/2.csv", as_csv(later)))
    assert second["status"] == "succeeded", second["error"]
    assert second["dataset_id"] != first["dataset_id"]
    assert "not_worse_than_champion" in {check["name"] for check in second["gate"]["checks"]}
    assert int(second["model_version"]) == int(first["model_version"]) + 1
    sagemaker = laptop.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName="passerelle-laptop-champion")["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    assert second["run_id"] in model["PrimaryContainer"]["ModelDataUrl"]
    bucket, key = split_s3_uri(second["shadow"]["evidence"])
    evidence = json.loads(laptop.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (evidence["verdict"], second["shadow"]["verdict"]) == ("promote", "promote")
    assert evidence["errors"]["challenger_requests"] > 0
    assert evidence["agreement"]["requests"] > 0, "nothing that both answered was compared"
    labels = tmp_path / "labels.csv"
    labels.write_text("customer,churned\n" + "".join(f"{row['customer']},{row['churned']}\n" for row in asked))
    told = dict[str, Any]()

    def judged() -> bool:
        """Captured answers are recorded some seconds later."""
        done = laptop.passerelle("--json", "shadow", "champion", "--outcomes", str(labels), check=False)
        told.update(json.loads(done.stdout or "{}"))
        return bool(told.get("tests"))

    wait_until(judged)
    assert told["run_id"] == second["run_id"]
    (metric,) = told["tests"]
    assert (metric["of"], metric["method"]) == ("roc_auc", "delong")
    assert metric["rows"] > 0
    assert laptop.read_json(told["uri"])["verdict"] == told["verdict"]


@contextmanager
def asked_all_the_time(
    laptop: DeployedLaptop,
    endpoint: str,
    rows: list[dict[str, Any]],
    sent: Sequence[str] = ("seen_at", "plan", "visits"),
) -> Iterator[None]:
    """Ask an endpoint for one row after the other; no request may fail."""
    runtime, over, failed = laptop.client("sagemaker-runtime"), threading.Event(), list[str]()

    def ask() -> None:
        for row in itertools.cycle(rows):
            if over.wait(0.02):
                return
            body = json.dumps({"dataframe_records": [{name: row[name] for name in sent}]})
            try:
                runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="application/json")
            except Exception as error:
                failed.append(str(error))

    caller = threading.Thread(target=ask)
    caller.start()
    try:
        yield
    finally:
        over.set()
        caller.join()
    assert not failed, failed[:3]


def test_a_file_outside_every_project_is_reported_and_left_alone(laptop: DeployedLaptop) -> None:
    version = laptop.drop("nobody/data.csv", b"a\n1\n")
    s3, bucket = laptop.client("s3"), laptop.resource("reports-bucket")
    waiter = s3.get_waiter("object_exists")
    waiter.wait(Bucket=bucket, Key="stray/nobody/data.csv.json", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    report = laptop.read_json(f"s3://{bucket}/stray/nobody/data.csv.json")
    assert "champion" in report["message"]
    assert report["version_id"] == version
    assert s3.get_object(Bucket=laptop.raw_bucket, Key="nobody/data.csv")["Body"].read() == b"a\n1\n"
