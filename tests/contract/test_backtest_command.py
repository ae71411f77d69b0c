"""`passerelle backtest` against the embedded AWS, where the job really trains and scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.main import main
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import naming, zones
from passerelle.contracts.container import PrepareResult
from passerelle.contracts.runs import CostPart, RunCost, RunRecord, StageRecord
from tests.laptop_platform import ROLE, LaptopPlatform, unique
from tests.unit.training.test_backtest import asked, turning_rows

PROJECT, EMPTY = "p-x", "p-empty"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/passerelle-training:1"
MOMENT = "2026-11-21T10:00:00.000+00:00"
CHAMPION, NEWER, OTHER = "r20261121100001-abcdef", "r20261121100002-abcdef", "r20261121100003-abcdef"
Command = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def aws(embedded_aws: LaptopPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopPlatform]:
    """The embedded AWS with a served project: its dataset, what trained its champion, and two later runs."""
    base = asked(tmp_path_factory.mktemp("job"), "binary", turning_rows(1_800, turns=0.4))
    ssm, s3 = embedded_aws.client("ssm"), embedded_aws.client("s3")
    curated, models, table = unique("curated"), unique("models"), unique("runs")
    for bucket in (curated, models):
        s3.create_bucket(Bucket=bucket)
    embedded_aws.client("dynamodb").create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    archive = f"s3://{models}/archives/p.zip"
    resources = {
        "curated-bucket": curated, "models-bucket": models, "runs-table": table, "training-image": IMAGE,
        "judge-role": ROLE, "jobs-vpc": "{}",
        "data-key": embedded_aws.client("kms").create_key()["KeyMetadata"]["Arn"],
    }  # fmt: skip
    told = {naming.resource_parameter("laptop", name): value for name, value in resources.items()}
    told |= {naming.project_parameter("laptop", name): json.dumps({"uri": archive}) for name in (PROJECT, EMPTY)}
    for name, value in told.items():
        ssm.put_parameter(Name=name, Value=value, Type="String")
    inputs, output = base / "processing" / "input", f"{PROJECT}/training/the-job/output"
    s3.upload_file(str(inputs / "project" / "p.zip"), models, "archives/p.zip")
    s3.upload_file(str(inputs / "training" / "output.tar.gz"), models, f"{output}/output.tar.gz")
    s3.upload_file(str(inputs / "model" / "model.tar.gz"), models, f"{output}/model.tar.gz")
    for path in sorted((inputs / "dataset").resolve().rglob("*.parquet")):
        s3.upload_file(str(path), curated, f"{zones.dataset_prefix(PROJECT, 'newer')}/{path.parent.name}/{path.name}")
    runs = RunsTable(embedded_aws.client("dynamodb"), table)
    for run_id, dataset, contract in ((CHAMPION, "own", "c"), (NEWER, "newer", "c"), (OTHER, "other", "another")):
        runs.save(_record(run_id, dataset, archive))
        result = PrepareResult(status="accepted", dataset_id=dataset, contract_hash=contract, files=())
        key = f"{zones.result_prefix(PROJECT, run_id, 1, 'prepare')}/result.json"
        s3.put_object(Bucket=curated, Key=key, Body=result.model_dump_json().encode())
    runs.put(PROJECT, "CHAMPION", model_version="1", run_id=CHAMPION)
    yield embedded_aws
    ssm.delete_parameters(Names=list(told))


def _record(run_id: str, dataset: str, archive: str) -> RunRecord:
    cost = RunCost(known_usd=0.5, complete=True, parts=(CostPart(name="train", usd=0.5, basis="a"),), excluded="")
    trained = StageRecord(stage="train", status="done", started_at=MOMENT, job_name="the-job")
    return RunRecord(
        project=PROJECT, run_id=run_id, attempt=1, status="succeeded", created_at=f"2026-11-21T10:00:0{run_id[14]}Z",
        updated_at=MOMENT, stages=(trained,), dataset_id=dataset, project_uri=archive, chosen="logistic", cost=cost,
    )  # fmt: skip


@pytest.fixture
def command(aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command, as a function that returns its JSON and what it said."""
    for name, value in aws.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0, project: str = PROJECT) -> dict[str, Any]:
        try:
            main(["backtest", project, *arguments])
            ended = 0
        except SystemExit as stop:
            ended = int(stop.code or 0)
        shown = capsys.readouterr()
        assert ended == code, shown.err
        document = json.loads(shown.out) if "--json" in arguments and shown.out else {}
        return {"said": shown.out + shown.err, **document}

    return call


def test_a_served_model_is_followed_into_the_past_on_the_newest_dataset_of_its_contract(
    command: Command, aws: LaptopPlatform
) -> None:
    found = command("--period", "30d", "--window", "2", "--limit", "0.05", "--json")
    assert (found["status"], found["dataset_id"], found["run_id"]) == ("Completed", "newer", CHAMPION)
    assert (found["candidate"], found["period"], found["window"]) == ("logistic", "30d", 2)
    assert found["staleness"]["verdict"] == "found"
    assert found["staleness"]["cheapest"]["currency"] == "USD"
    assert "resamples" not in found["cells"][0]
    bucket, key = zones.split_s3_uri(found["uri"])
    listed = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    assert {item["Key"].rsplit("/", 1)[1] for item in listed} == {"result.json", "staleness.png"}
    again = command("--job", found["job"])["said"]
    assert found["staleness"]["words"] in " ".join(again.split())
    assert "roc_auc lost" in again
    assert "95 % interval" in again
    described = aws.client("sagemaker").describe_processing_job(ProcessingJobName=found["job"])
    assert described["RoleArn"] == ROLE


def test_a_job_that_is_not_waited_for_is_named_and_one_that_is_stopped_or_unknown_says_so(
    command: Command, aws: LaptopPlatform
) -> None:
    begun = command("--no-wait", "--json")
    assert begun["status"] == "InProgress"
    assert f"--job {begun['job']}" in begun["said"]
    sagemaker = aws.client("sagemaker")
    sagemaker.stop_processing_job(ProcessingJobName=begun["job"])
    assert "was stopped" in command("--job", begun["job"], code=5)["said"]
    assert "no back-test p-x-backtest-1" in command("--job", "p-x-backtest-1", code=3)["said"]


def test_what_was_never_served_cannot_be_followed_and_a_period_has_a_form(command: Command) -> None:
    assert "no model that is served yet" in command(code=3, project=EMPTY)["said"]
    assert "30d" in command("--period", "fortnight", code=2)["said"]


def test_what_the_job_could_not_work_with_is_told_in_its_own_words(command: Command, aws: LaptopPlatform) -> None:
    ssm, s3 = aws.client("ssm"), aws.client("s3")
    bucket = ssm.get_parameter(Name=naming.resource_parameter("laptop", "curated-bucket"))["Parameter"]["Value"]
    prefix = zones.dataset_prefix(PROJECT, "newer")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    for item in listed:
        s3.put_object(Bucket=bucket, Key=item["Key"], Body=b"no Parquet")
    assert "failed: " in command(code=3)["said"]
