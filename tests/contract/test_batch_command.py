"""`passerelle batch` against the embedded AWS: only what is not scored yet is scored, beside the inputs' keys."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cli.commands.batch
from cli.main import main
from passerelle.contracts import naming
from passerelle.contracts.batch import BatchPlan
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import CONTAINER
from tests.laptop_platform import LaptopPlatform, running_platform, unique, wait_for

BUCKET = "batch-predictions"
Batch = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def aws() -> Iterator[LaptopPlatform]:
    images = {"script": (sys.executable, str(CONTAINER))}
    with running_platform(tracking_server=False, images=images) as running:
        ssm, found = running.client("ssm"), running.client("kms").create_key()["KeyMetadata"]
        resources = {"predictions-bucket": BUCKET, "data-key": found["Arn"]}
        for name, value in resources.items():
            ssm.put_parameter(Name=naming.resource_parameter("laptop", name), Value=value, Type="String")
        ssm.put_parameter(Name=naming.project_parameter("laptop", "flights"), Value="{}", Type="String")
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running


def configured(aws: LaptopPlatform, calls: Path) -> tuple[str, str]:
    """Create a model that writes down what it is asked, and an endpoint configuration; returns both names."""
    name, sagemaker = unique("m"), aws.client("sagemaker")
    environment = {"NAME": name, "CALLS": str(calls), "HOLD": str(calls.with_name("hold"))}
    sagemaker.create_model(**make.model(name, PrimaryContainer__Environment=environment))
    variant = make.variant("champion", ModelName=name)
    sagemaker.create_endpoint_config(**make.endpoint_config(name, ProductionVariants=[variant]))
    return name, name


@pytest.fixture(scope="module")
def served(aws: LaptopPlatform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Serve flights; return the file of what its model is asked."""
    path, sagemaker = tmp_path_factory.mktemp("served") / "calls", aws.client("sagemaker")
    _, config = configured(aws, path)
    endpoint = naming.endpoint_name("laptop", "flights")
    tags = [{"Key": "passerelle:project", "Value": "flights"}, {"Key": "passerelle:run", "Value": "r1"}]
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config, Tags=tags)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    return path


@pytest.fixture
def calls(served: Path) -> Path:
    """Return that file, which is not there before the first question of a test."""
    served.unlink(missing_ok=True)
    return served


@pytest.fixture
def batch(aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Batch:
    """Return the command, as a function that returns its JSON."""
    for name, value in aws.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> dict[str, Any]:
        try:
            main(["--json", "batch", "flights", *arguments])
            ended = 0
        except SystemExit as stop:
            ended = int(stop.code or 0)
        shown = capsys.readouterr()
        assert ended == code, shown.err
        return {"said": shown.err, **(json.loads(shown.out) if shown.out else {})}

    return call


def put(aws: LaptopPlatform, folder: str, **bodies: str) -> None:
    for name, body in bodies.items():
        key = f"flights/batch/{folder}/{name.replace('__', '/')}.csv"
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.encode())


def keys(aws: LaptopPlatform, prefix: str) -> list[str]:
    listed = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    return [item["Key"].removeprefix(prefix) for item in listed if "/_batch/" not in item["Key"]]


def asked(calls: Path) -> list[str]:
    """Return what the model was asked since the last time."""
    found = sorted(calls.read_text().split()) if calls.exists() else []
    calls.unlink(missing_ok=True)
    return found


def test_a_prefix_is_scored_once_and_then_only_what_is_new_changed_or_another_models(
    aws: LaptopPlatform, batch: Batch, calls: Path
) -> None:
    folder, sagemaker = unique("f"), aws.client("sagemaker")
    put(aws, folder, a="1", sub__b="2")
    first = batch(folder)
    assert (first["status"], first["inputs"], first["skipped"]) == ("Completed", 2, 0)
    assert first["usd"] > 0
    assert keys(aws, f"flights/batch/{folder}/") == ["a.csv", "a.csv.out", "sub/b.csv", "sub/b.csv.out"]
    assert asked(calls) == ["1", "2"]
    job = sagemaker.describe_transform_job(TransformJobName=first["job"])
    tags = sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"]
    assert tags == [{"Key": "passerelle:project", "Value": "flights"}]

    assert batch(folder)["job"] is None
    put(aws, folder, a="1", c="3")  # the same bytes anew, and a new file
    second = batch(f"s3://{BUCKET}/flights/batch/{folder}/")
    assert (second["inputs"], second["skipped"]) == (2, 1)
    assert asked(calls) == ["1", "3"]

    _, config = configured(aws, calls)
    endpoint = naming.endpoint_name("laptop", "flights")
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    third = batch(folder)
    assert (third["inputs"], third["skipped"], third["model"]) == (3, 0, config)
    assert asked(calls) == ["1", "2", "3"]


def test_a_job_with_a_bad_file_says_which_and_why_and_the_next_call_does_only_that_one(
    aws: LaptopPlatform, batch: Batch, calls: Path
) -> None:
    folder = unique("f")
    put(aws, folder, a="1", b="bad")
    failed = batch(folder, code=3)
    assert failed["status"] == "Failed"
    assert f"{BUCKET}/flights/batch/{folder}/b.csv: ClientError: 400" in failed["said"]
    asked(calls)
    put(aws, folder, b="4")
    assert batch(folder)["skipped"] == 1
    assert asked(calls) == ["4"]
    assert keys(aws, f"flights/batch/{folder}/") == ["a.csv", "a.csv.out", "b.csv", "b.csv.out"]


def test_a_running_job_is_followed_and_one_that_was_stopped_is_gone_on_with(
    aws: LaptopPlatform, batch: Batch, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sagemaker = unique("f"), aws.client("sagemaker")
    put(aws, folder, a="1")
    hold = calls.with_name("hold")
    hold.touch()
    begun = batch(folder, "--no-follow")
    wait_for(hold.with_name("hold.seen").exists)
    assert begun["status"] == "InProgress"
    orders = [lambda: sagemaker.stop_transform_job(TransformJobName=begun["job"])]
    # Somebody stops it while it is followed: at the first pause between two looks.
    monkeypatch.setattr(cli.commands.batch, "_pause", lambda session: orders.pop()() if orders else time.sleep(0.1))
    stopped = batch(folder, code=5)
    assert (stopped["job"], stopped["status"]) == (begun["job"], "Stopped")
    hold.unlink()
    again = batch(folder)
    assert (again["status"], again["inputs"]) == ("Completed", 1)
    assert again["job"] != begun["job"]


def test_outputs_may_go_elsewhere_and_a_plan_whose_job_never_began_is_no_hindrance(
    aws: LaptopPlatform, batch: Batch, calls: Path
) -> None:
    folder = unique("f")
    put(aws, folder, a="1")
    plan = BatchPlan(job=unique("never"), project="flights", model="m", joined=False, inputs=())
    key = f"flights/batch/{folder}-scored/_batch/{plan.job}.json"
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=plan.model_dump_json().encode())
    assert batch(folder, "--output", f"{folder}-scored")["status"] == "Completed"
    assert keys(aws, f"flights/batch/{folder}-scored/") == ["a.csv.out"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://elsewhere/x/"], f"below s3://{BUCKET}/flights/batch/ only"),
        ([f"s3://{BUCKET}/other/batch/x"], "aws s3 sync"),
        (["nothing-here"], "holds no input"),
        (["x", "--output", "s3://elsewhere/x/"], "only, which is what their role may"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_what_to_do(batch: Batch, arguments: list[str], says: str) -> None:
    assert says in batch(*arguments, code=3)["said"]


def test_csv_is_not_joined(aws: LaptopPlatform, batch: Batch) -> None:
    folder = unique("f")
    put(aws, folder, a="1")
    assert "JSON lines" in batch(folder, "--join", code=3)["said"]
