"""`passerelle batch` against the embedded AWS: only what is not scored yet is scored, beside the inputs' keys."""

from __future__ import annotations

import json
import subprocess
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
from tests.laptop_platform import LaptopPlatform, unique, wait_for

PROJECT, NOT_SERVED = "batches", "batches-not-served"
ENDPOINT = naming.endpoint_name("laptop", PROJECT)
BUCKET, HOME = "batch-predictions", f"{PROJECT}/batch"
ROOT = Path(__file__).parents[2]
Batch = Callable[..., dict[str, Any]]
During = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def aws(embedded_aws: LaptopPlatform) -> Iterator[LaptopPlatform]:
    """The embedded AWS, a bucket, and what a deployment tells the commands."""
    ssm, key = embedded_aws.client("ssm"), embedded_aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    told = {
        naming.resource_parameter("laptop", "predictions-bucket"): BUCKET,
        naming.resource_parameter("laptop", "data-key"): key,
        **{naming.project_parameter("laptop", project): "{}" for project in (PROJECT, NOT_SERVED)},
    }
    for name, value in told.items():
        ssm.put_parameter(Name=name, Value=value, Type="String")
    embedded_aws.client("s3").create_bucket(Bucket=BUCKET)
    yield embedded_aws
    ssm.delete_parameters(Names=list(told))


def configured(aws: LaptopPlatform, calls: Path) -> str:
    """Create a model that writes down what it is asked, and an endpoint configuration of the same name."""
    name, sagemaker = unique("m"), aws.client("sagemaker")
    environment = {"NAME": name, "CALLS": str(calls), "HOLD": str(calls.with_name("hold"))}
    sagemaker.create_model(**make.model(name, PrimaryContainer__Environment=environment))
    variant = make.variant("champion", ModelName=name)
    sagemaker.create_endpoint_config(**make.endpoint_config(name, ProductionVariants=[variant]))
    return name


@pytest.fixture(scope="module")
def served(aws: LaptopPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the project; yield the file of what its model is asked."""
    path, sagemaker = tmp_path_factory.mktemp("served") / "calls", aws.client("sagemaker")
    tags = [{"Key": "passerelle:project", "Value": PROJECT}, {"Key": "passerelle:run", "Value": "r1"}]
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=configured(aws, path), Tags=tags)
    wait_until_served(aws)
    yield path
    sagemaker.delete_endpoint(EndpointName=ENDPOINT)


def wait_until_served(aws: LaptopPlatform) -> None:
    wait_for(lambda: aws.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService")


@pytest.fixture
def calls(served: Path) -> Path:
    """Return that file, which is not there before the first question of a test."""
    served.unlink(missing_ok=True)
    return served


@pytest.fixture
def hold(calls: Path) -> Iterator[Path]:
    """Return the file that lets the model wait while it is there; `hold.seen` tells that it waits."""
    path, seen = calls.with_name("hold"), calls.with_name("hold.seen")
    seen.unlink(missing_ok=True)
    path.touch()
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def batch(aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Batch:
    """Return the command, as a function that returns its JSON."""
    for name, value in aws.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli.commands.batch, "_pause", lambda session: time.sleep(0.05))

    def call(*arguments: str, code: int = 0, project: str = PROJECT) -> dict[str, Any]:
        try:
            main(["--json", "batch", project, *arguments])
            ended = 0
        except SystemExit as stop:
            ended = int(stop.code or 0)
        shown = capsys.readouterr()
        assert ended == code, shown.err
        return {"said": shown.err, **(json.loads(shown.out) if shown.out else {})}

    return call


@pytest.fixture
def followed(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> During:
    """Return what sets an action that happens while a job is followed: at the first pause between two looks."""

    def during(action: Callable[[], object]) -> None:
        actions = [action]

        def pause(session: object) -> None:
            actions.pop()() if actions else time.sleep(0.05)

        monkeypatch.setattr(cli.commands.batch, "_pause", pause)

    return during


def put(aws: LaptopPlatform, folder: str, **bodies: str) -> None:
    """Write CSV files; `sub__a` is sub/a.csv."""
    for name, body in bodies.items():
        write(aws, f"{folder}/{name.replace('__', '/')}.csv", body)


def write(aws: LaptopPlatform, name: str, body: str) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"{HOME}/{name}", Body=body.encode())


def keys(aws: LaptopPlatform, folder: str) -> list[str]:
    """Return the inputs and outputs of a folder."""
    prefix = f"{HOME}/{folder}/"
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
    assert keys(aws, folder) == ["a.csv", "a.csv.out", "sub/b.csv", "sub/b.csv.out"]
    assert asked(calls) == ["1", "2"]
    job = sagemaker.describe_transform_job(TransformJobName=first["job"])
    tags = sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"]
    assert tags == [{"Key": "passerelle:project", "Value": PROJECT}]

    assert batch(folder)["job"] is None
    put(aws, folder, a="1", c="3")  # the same bytes anew, and a new file
    second = batch(f"s3://{BUCKET}/{HOME}/{folder}/")
    assert (second["inputs"], second["skipped"]) == (2, 1)
    assert asked(calls) == ["1", "3"]

    config = configured(aws, calls)
    sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    wait_until_served(aws)
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
    assert f"{BUCKET}/{HOME}/{folder}/b.csv: ClientError: 400" in failed["said"]
    asked(calls)
    put(aws, folder, b="4", c="bad")
    failed = batch(folder, code=3)
    assert (failed["inputs"], failed["skipped"]) == (2, 1)
    assert "c.csv" in failed["said"]
    assert "b.csv" not in failed["said"], "another job's words are not this one's"
    assert asked(calls) == ["4", "bad"]
    assert keys(aws, folder) == ["a.csv", "a.csv.out", "b.csv", "b.csv.out", "c.csv"]


def test_a_running_job_is_followed_and_one_that_was_stopped_is_gone_on_with(
    aws: LaptopPlatform, batch: Batch, hold: Path, followed: During
) -> None:
    folder, sagemaker = unique("f"), aws.client("sagemaker")
    put(aws, folder, a="1")
    begun = batch(folder, "--no-follow")
    assert begun["status"] == "InProgress"
    wait_for(hold.with_name("hold.seen").exists)
    followed(lambda: sagemaker.stop_transform_job(TransformJobName=begun["job"]))
    stopped = batch(folder, code=5)
    assert (stopped["job"], stopped["status"]) == (begun["job"], "Stopped")
    hold.unlink()
    again = batch(folder)
    assert (again["status"], again["inputs"]) == ("Completed", 1)
    assert again["job"] != begun["job"]


def test_a_killed_command_leaves_its_job_at_work_and_the_next_call_follows_it(
    aws: LaptopPlatform, batch: Batch, calls: Path, hold: Path, followed: During
) -> None:
    folder = unique("f")
    put(aws, folder, a="1", b="2")
    command = [sys.executable, "-m", "cli.main", "--json", "batch", PROJECT, folder]
    with subprocess.Popen(command, cwd=ROOT) as killed:
        wait_for(hold.with_name("hold.seen").exists)
        killed.kill()
    followed(hold.unlink)
    found = batch(folder)
    assert (found["status"], found["inputs"], found["skipped"]) == ("Completed", 2, 0)
    assert asked(calls) == ["1", "2"]
    assert batch(folder)["job"] is None


def test_a_file_that_is_deleted_under_a_job_fails_it_by_name_and_no_later_call(
    aws: LaptopPlatform, batch: Batch, hold: Path, followed: During
) -> None:
    folder = unique("f")
    put(aws, folder, a="1", b="2")
    batch(folder, "--no-follow")
    wait_for(hold.with_name("hold.seen").exists)
    aws.client("s3").delete_object(Bucket=BUCKET, Key=f"{HOME}/{folder}/b.csv")
    followed(hold.unlink)
    assert f"{folder}/b.csv does not exist" in batch(folder, code=3)["said"]
    assert batch(folder)["skipped"] == 1
    assert keys(aws, folder) == ["a.csv", "a.csv.out"]


def test_json_lines_are_kept_beside_their_answers_and_asking_for_that_later_scores_anew(
    aws: LaptopPlatform, batch: Batch, calls: Path
) -> None:
    folder = unique("f")
    write(aws, f"{folder}/a.jsonl", '{"id":7}\n')
    batch(folder)
    joined = batch(folder, "--join")
    assert (joined["inputs"], joined["skipped"]) == (1, 0)
    assert asked(calls) == ['{"id":7}', '{"id":7}']
    found = aws.client("s3").get_object(Bucket=BUCKET, Key=f"{HOME}/{folder}/a.jsonl.out")["Body"].read()
    (line,) = [json.loads(line) for line in found.splitlines()]
    assert (line["id"], line["SageMakerOutput"]["body"]) == (7, '{"id":7}\n')


def test_outputs_may_go_elsewhere_and_a_plan_whose_job_never_began_is_no_hindrance(
    aws: LaptopPlatform, batch: Batch, calls: Path
) -> None:
    folder = unique("f")
    put(aws, folder, a="1")
    plan = BatchPlan(job=unique("never"), project=PROJECT, model="m", joined=False, inputs=())
    key = f"{HOME}/{folder}-scored/_batch/{plan.job}.json"
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=plan.model_dump_json().encode())
    assert batch(folder, "--output", f"{folder}-scored")["status"] == "Completed"
    assert keys(aws, f"{folder}-scored") == ["a.csv.out"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://elsewhere/x/"], f"below s3://{BUCKET}/{HOME}/ only"),
        ([f"s3://{BUCKET}/other/batch/x"], "aws s3 sync"),
        (["nothing-here"], "holds no input"),
        (["x", "--output", "s3://elsewhere/x/"], "only, which is what their role may"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_what_to_do(batch: Batch, arguments: list[str], says: str) -> None:
    assert says in batch(*arguments, code=3)["said"]


def test_a_project_without_a_served_model_says_how_it_gets_one(aws: LaptopPlatform, batch: Batch) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"{NOT_SERVED}/batch/x/a.csv", Body=b"1")
    assert f"passerelle drop {NOT_SERVED}" in batch("x", project=NOT_SERVED, code=3)["said"]


def test_csv_is_not_joined(aws: LaptopPlatform, batch: Batch) -> None:
    folder = unique("f")
    put(aws, folder, a="1")
    assert "JSON lines" in batch(folder, "--join", code=3)["said"]
