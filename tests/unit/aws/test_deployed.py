"""What a person asks of a deployed environment is done, or refused with what to do instead."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from passerelle.aws.deployed import DeployedPlatform
from passerelle.contracts import naming
from passerelle.contracts.runs import RunRecord
from passerelle.errors import InputError, NotFoundError, SettingsError, TransientError
from tests.unit.steps.world import MOMENT, ROLE, Aws

NAME = "passerelle-laptop-flights"
ASLEEP = "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress"


class Deployed:
    """A deployed environment in moto, and the platform that a command uses."""

    def __init__(self) -> None:
        self.aws = Aws()
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        self.platform = DeployedPlatform("laptop", session)
        ssm = boto3.client("ssm")
        resources = {"raw-bucket": self.aws.buckets["raw"], "runs-table": self.aws.runs_table}
        for name, value in (resources | {"training-pipeline": self.aws.pipeline}).items():
            ssm.put_parameter(Name=naming.resource_parameter("laptop", name), Value=value, Type="String")

    def failed(self, run_id: str = "r1", **fields: Any) -> RunRecord:
        return self.aws.begin_run(run_id, **{"status": "failed", **fields})

    def end_attempt(self, number: int) -> None:
        """Run an attempt that ends before it writes anything."""
        request = json.dumps({"project": "flights", "run_id": "r1", "attempt": number})
        name = naming.execution_name("flights", "r1", number)
        arn = self.aws.sfn.start_execution(stateMachineArn=self.aws.pipeline, name=name, input=request)["executionArn"]
        self.aws.sfn.stop_execution(executionArn=arn)


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Deployed()


def test_a_retry_starts_the_next_attempt_of_the_same_run(deployed: Deployed) -> None:
    started = deployed.platform.retry(deployed.failed())
    assert (started.attempt, started.status) == (2, "collecting")
    assert deployed.aws.executions() == ["flights-r1-2"]


def test_asking_for_a_retry_twice_starts_one(deployed: Deployed) -> None:
    run = deployed.failed()
    assert [deployed.platform.retry(run).attempt for _ in range(2)] == [2, 2]
    assert deployed.aws.executions() == ["flights-r1-2"]


def test_attempts_that_ended_at_once_do_not_block_the_next_retry(deployed: Deployed) -> None:
    run = deployed.failed()
    for number in (2, 3):
        deployed.end_attempt(number)
    assert deployed.platform.retry(run).attempt == 4


@pytest.mark.parametrize(
    ("status", "says"),
    [("running", "wait for its end"), ("succeeded", "no retry would change"), ("rejected", "Drop new")],
)
def test_a_run_that_did_not_fail_is_not_retried(deployed: Deployed, status: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        deployed.platform.retry(deployed.failed(status=status))
    assert deployed.aws.executions() == []


def test_a_run_is_found_by_a_part_of_its_name_and_the_newest_by_a_word(deployed: Deployed) -> None:
    deployed.failed("r20260101000000-aaaaaa")
    deployed.failed("r20260102000000-bbbbbb", created_at=MOMENT.replace("2026", "2027"))
    assert deployed.platform.find_run("aaaa").run_id == "r20260101000000-aaaaaa"
    assert deployed.platform.find_run("latest").run_id == "r20260102000000-bbbbbb"
    with pytest.raises(NotFoundError, match=r"'r2026' is ambiguous\. Runs: r20260102000000-bbbbbb, r2026"):
        deployed.platform.find_run("r2026")
    with pytest.raises(NotFoundError, match="'zzz' does not exist"):
        deployed.platform.find_run("zzz")


def test_without_any_run_the_newest_does_not_exist(deployed: Deployed) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        deployed.platform.find_run("latest")


def test_dropped_files_lie_under_their_project_with_their_version(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "é b.csv"
    path.write_bytes(b"a,b\n")
    sent: list[int] = []
    (dropped,) = deployed.platform.drop("flights", [path], progress=sent.append)
    assert (dropped.key, dropped.size, sum(sent)) == ("flights/é b.csv", 4, 4)
    found = deployed.aws.s3.get_object(Bucket=dropped.bucket, Key=dropped.key, VersionId=dropped.version_id)
    assert found["Body"].read() == b"a,b\n"


def test_when_one_file_is_missing_none_is_dropped(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x")
    with pytest.raises(InputError, match=r"missing\.csv: no such file"):
        deployed.platform.drop("flights", [tmp_path / "a.csv", tmp_path / "missing.csv"])
    assert "Contents" not in deployed.aws.s3.list_objects_v2(Bucket=deployed.aws.buckets["raw"])


def test_a_project_that_is_not_deployed_is_named_with_those_that_are(deployed: Deployed) -> None:
    with pytest.raises(NotFoundError, match=r"'trains' is not deployed in laptop \(deployed: flights\)"):
        deployed.platform.drop("trains", [])


def test_an_environment_that_is_not_deployed_says_how_to_deploy_it(deployed: Deployed) -> None:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    with pytest.raises(SettingsError, match=r"'staging' is not deployed .*passerelle deploy"):
        DeployedPlatform("staging", session).resource("runs-table")


def test_lines_of_a_log_that_does_not_exist_are_none(deployed: Deployed) -> None:
    assert list(deployed.platform.log_lines("/aws/nowhere")) == []


def test_a_platform_that_is_down_says_how_to_start_it() -> None:
    platform = DeployedPlatform.on_laptop("http://127.0.0.1:1", region="us-east-1")
    with pytest.raises(TransientError, match="passerelle up"):
        platform.projects()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, TransientError),
        ("InternalServerError", 500, TransientError),
        ("503", 503, TransientError),
        ("AccessDeniedException", 400, InputError),
    ],
)
def test_an_error_of_aws_says_whether_to_try_again(
    deployed: Deployed, code: str, status: int, error: type[Exception]
) -> None:
    with Stubber(deployed.platform.client("stepfunctions")) as stubber:
        stubber.add_client_error("describe_execution", code, "no", status)
        with pytest.raises(error, match=code):
            deployed.platform.execution_status("arn:aws:states:us-east-1:123456789012:execution:m:e")


# Predictions


@pytest.mark.parametrize(
    ("code", "extra", "error", "says"),
    [
        ("ModelError", {"OriginalStatusCode": 400, "OriginalMessage": "row 1: age"}, InputError, "row 1: age"),
        (
            "ModelError",
            {
                "OriginalStatusCode": 400,
                "OriginalMessage": '{"error": {"message": "must be a number", "row": 3, "field": "age", "remedy": "Write 39."}}',
            },
            InputError,
            "request: must be a number, row 3, field age. Write 39.",
        ),
        ("ModelError", {"OriginalStatusCode": 500, "OriginalMessage": "boom"}, TransientError, "Try again"),
        ("ModelNotReadyException", {}, TransientError, "Try again"),
        ("ServiceUnavailable", {}, TransientError, "Try again"),
        ("ValidationError", {"message": "Endpoint x of account 1 not found."}, NotFoundError, "Drop data first"),
        ("ValidationError", {"message": "body too long"}, InputError, "refused the request"),
        ("ValidationError", {"message": ASLEEP}, TransientError, "is asleep: .* This request wakes it; ask again"),
    ],
)
def test_a_prediction_that_fails_says_whose_fault_it_is(
    deployed: Deployed, code: str, extra: dict[str, Any], error: type[Exception], says: str
) -> None:
    fields = dict(extra)
    message = fields.pop("message", "no")
    with Stubber(deployed.platform.client("sagemaker-runtime")) as stubber:
        stubber.add_client_error("invoke_endpoint", code, message, 424, modeled_fields=fields, response_meta=None)
        with pytest.raises(error, match=says):
            deployed.platform.predict("flights", b"{}", content_type="application/json")


def test_an_endpoint_that_scales_to_zero_is_asked_again_by_the_name_of_its_component(deployed: Deployed) -> None:
    asked = {"EndpointName": NAME, "Body": b"{}", "ContentType": "application/json", "Accept": "application/json"}
    required = "Inference Component Name header is required for endpoints to which you plan to deploy components."
    answer = {"Body": StreamingBody(io.BytesIO(b"1"), 1)}
    with Stubber(deployed.platform.client("sagemaker-runtime")) as stubber:
        stubber.add_client_error("invoke_endpoint", "ValidationError", required, 400, expected_params=asked)
        stubber.add_response("invoke_endpoint", answer, {**asked, "InferenceComponentName": NAME})
        assert deployed.platform.predict("flights", b"{}", content_type="application/json") == b"1"
        stubber.assert_no_pending_responses()


def test_an_endpoint_that_does_not_exist_has_no_status(deployed: Deployed) -> None:
    assert deployed.platform.endpoint_status("flights") is None


def test_an_endpoints_status_is_sagemakers_own(deployed: Deployed) -> None:
    sagemaker = boto3.client("sagemaker")
    image = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=image)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="passerelle-laptop-flights", EndpointConfigName="c")
    found = deployed.platform.endpoint_status("flights")
    assert found is not None
    assert found["EndpointConfigName"] == "c"


def test_an_endpoint_that_cannot_be_reached_is_tried_again(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(deployed.platform.client("sagemaker-runtime"), "invoke_endpoint", refuse)
    with pytest.raises(TransientError, match="does not answer"):
        deployed.platform.predict("flights", b"{}", content_type="application/json")
