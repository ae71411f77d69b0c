"""What an inference component is found to serve, and what asking one that sleeps means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from passerelle.aws.clients import client
from passerelle.aws.endpoints import ask, current_component
from passerelle.contracts.prediction import OWN_REQUEST
from passerelle.domain.requests.components import ServedComponent
from passerelle.errors import TransientError

NAME = {"InferenceComponentName": "c"}
_MOMENT = datetime(2026, 11, 21, tzinfo=UTC)
_ARN = "arn:aws:sagemaker:us-east-1:123456789012:inference-component/c"


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "t"),
        ("AWS_SECRET_ACCESS_KEY", "t"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client.cache_clear()
    with Stubber(client("sagemaker")) as stubber:
        yield stubber
    client.cache_clear()


def _described(status: str, model: str = "now", copies: int = 2) -> dict[str, Any]:
    return NAME | {
        "InferenceComponentArn": _ARN, "EndpointName": "e", "EndpointArn": _ARN, "CreationTime": _MOMENT,
        "LastModifiedTime": _MOMENT, "InferenceComponentStatus": status, "Specification": {"ModelName": model},
        "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": 0},
    }  # fmt: skip


@pytest.mark.parametrize(("status", "wanted"), [("InService", "other"), ("Updating", "now"), ("Creating", "now")])
def test_a_component_is_what_it_serves_or_what_this_deployment_is_giving_it(
    sagemaker: Stubber, status: str, wanted: str
) -> None:
    sagemaker.add_response("describe_inference_component", _described(status), NAME)
    assert current_component("c", wanted) == ServedComponent(model_name="now", copies=2)


@pytest.mark.parametrize(("status", "wanted"), [("Updating", "other"), ("Deleting", "now")])
def test_one_that_changes_to_something_else_is_waited_for(sagemaker: Stubber, status: str, wanted: str) -> None:
    sagemaker.add_response("describe_inference_component", _described(status), NAME)
    with pytest.raises(TransientError, match=f"is {status}"):
        current_component("c", wanted)


def test_one_that_failed_is_deleted_and_made_again(sagemaker: Stubber) -> None:
    sagemaker.add_response("describe_inference_component", _described("Failed"), NAME)
    sagemaker.add_response("delete_inference_component", {}, NAME)
    with pytest.raises(TransientError, match="is being deleted"):
        current_component("c", "now")
    sagemaker.add_client_error("describe_inference_component", "ValidationException", "Could not find component", 400)
    assert current_component("c", "now") is None


def test_one_without_a_copy_is_asked_again_later(sagemaker: Stubber) -> None:
    with Stubber(client("sagemaker-runtime")) as runtime:
        asked = {
            "EndpointName": "e", "Body": b"", "ContentType": "application/json", "Accept": "application/json",
            "InferenceId": OWN_REQUEST,
        }  # fmt: skip
        message = "Inference Component has no capacity to process this request."
        runtime.add_client_error("invoke_endpoint", "ValidationError", message, 400, expected_params=asked | NAME)
        with pytest.raises(TransientError, match="Endpoint e sleeps, and wakes now"):
            ask("e", b"", component="c")
