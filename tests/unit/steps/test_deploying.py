"""A deployment is planned from what the endpoint is now, and tried before anyone relies on it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from passerelle.aws import clients
from passerelle.contracts.prediction import OWN_REQUEST
from passerelle.contracts.runs import StageRecord
from passerelle.errors import BundleError, InputError, JobFailedError, NotFoundError, TransientError
from passerelle.settings import PlanDeploymentSettings, SmokeTestSettings
from passerelle.steps.plan_deployment import plan_deployment
from passerelle.steps.smoke_test import smoke_test

from . import results
from .results import BASE
from .world import GPU_IMAGE, IMAGE, MOMENT, ROLE, Aws

ENDPOINT = "passerelle-laptop-flights"
MODEL = "s3://test-models/model.tar.gz"
TRAINED = "s3://test-models/flights/training/flights-r1-train-1-2/output/model.tar.gz"
ROLLOUT: Any = {"alerts_topic_arn": "arn:aws:sns:us-east-1:123456789012:alerts", "rollout_wait_seconds": 3_600}
PASSED: Any = {"gate": {"status": "passed"}}
EXAMPLE = {"dataframe_split": {"columns": ["a"], "data": [[1.5]]}, "predictions": [1], "probabilities": [[0.25, 0.75]]}


# Planning


def _plan(aws: Aws, **changes: Any) -> dict[str, Any]:
    settings = PlanDeploymentSettings(
        **aws.shared, zones=aws.buckets, image_uri=IMAGE, model_role_arn=ROLE, kms_key_arn="", **ROLLOUT
    )
    if aws.table.get("flights", "r1") is None:
        aws.begin_run(**PASSED)
    request = {**BASE, "status": "passed", "model_version": 3, "model_data_url": TRAINED}
    return plan_deployment(request | changes, settings)


@pytest.fixture
def sagemaker(aws: Aws) -> Iterator[Stubber]:
    with Stubber(clients.client("sagemaker")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def _is(sagemaker: Stubber, status: str, config: str, **fields: Any) -> None:
    document = {
        "EndpointName": ENDPOINT,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{ENDPOINT}",
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": 0,
        "LastModifiedTime": 0,
    }
    sagemaker.add_response("describe_endpoint", document | fields, {"EndpointName": ENDPOINT})


def _described(sagemaker: Stubber, config: str, **fields: Any) -> None:
    variant = {"VariantName": "champion", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    document = {
        "EndpointConfigName": config,
        "EndpointConfigArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{config}",
        "ProductionVariants": [variant],
        "CreationTime": 0,
    }
    sagemaker.add_response("describe_endpoint_config", document | fields, {"EndpointConfigName": config})


def _missing(sagemaker: Stubber) -> None:
    message = f'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{ENDPOINT}".'
    sagemaker.add_client_error("describe_endpoint", "ValidationException", message, 400)


def test_the_first_deployment_creates_the_endpoint_with_its_tags(aws: Aws, sagemaker: Stubber) -> None:
    _missing(sagemaker)
    plan = _plan(aws)
    assert (plan["action"], plan["endpoint_name"]) == ("create", ENDPOINT)
    assert {tag["Key"] for tag in plan["endpoint"]["Tags"]} >= {"passerelle:project", "passerelle:run"}
    assert plan["model_data_url"] == plan["model"]["PrimaryContainer"]["ModelDataUrl"] == TRAINED
    assert plan["model"]["PrimaryContainer"]["Environment"] == {"PASSERELLE_MODEL_VERSION": "3"}


def test_a_model_is_served_by_the_image_that_trained_it_whatever_was_released_since(
    aws: Aws, sagemaker: Stubber
) -> None:
    trained_by = f"{IMAGE.partition(':')[0]}@sha256:{'a' * 64}"
    aws.begin_run(image_uri=trained_by, **PASSED)
    _missing(sagemaker)
    assert _plan(aws)["model"]["PrimaryContainer"]["Image"] == trained_by
    aws.begin_run(image_uri=None, **PASSED)
    _missing(sagemaker)
    assert _plan(aws)["model"]["PrimaryContainer"]["Image"] == IMAGE


def test_a_model_that_a_gpu_trained_is_served_by_the_image_that_evaluated_it(aws: Aws, sagemaker: Stubber) -> None:
    evaluated_by = f"{IMAGE.partition(':')[0]}@sha256:{'b' * 64}"
    aws.begin_run(image_uri=GPU_IMAGE, serving_image_uri=evaluated_by, **PASSED)
    _missing(sagemaker)
    assert _plan(aws)["model"]["PrimaryContainer"]["Image"] == evaluated_by


def test_a_later_deployment_updates_the_endpoint_which_takes_no_tags(aws: Aws, sagemaker: Stubber) -> None:
    _is(sagemaker, "InService", "older")
    _described(sagemaker, "older")
    plan = _plan(aws)
    assert plan["action"] == "update"
    assert set(plan["endpoint"]) == {"EndpointName", "EndpointConfigName"}


def test_planning_twice_gives_the_same_names(aws: Aws, sagemaker: Stubber) -> None:
    for _ in range(2):
        _missing(sagemaker)
    assert _plan(aws) == _plan(aws)


def test_an_endpoint_that_serves_the_model_already_is_left_alone(aws: Aws, sagemaker: Stubber) -> None:
    _missing(sagemaker)
    config = _plan(aws)["endpoint"]["EndpointConfigName"]
    _is(sagemaker, "InService", config)
    _described(sagemaker, config)
    assert _plan(aws)["action"] == "none"


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_a_redriven_deployment_waits_for_the_change_that_it_began(aws: Aws, sagemaker: Stubber, status: str) -> None:
    _missing(sagemaker)
    config = _plan(aws)["endpoint"]["EndpointConfigName"]
    coming = {"PendingDeploymentSummary": {"EndpointConfigName": config}} if status == "Updating" else {}
    _is(sagemaker, status, "older" if coming else config, **coming)
    _described(sagemaker, config)
    assert _plan(aws)["action"] == "none"


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"])
def test_an_endpoint_that_is_changing_is_waited_for(aws: Aws, sagemaker: Stubber, status: str) -> None:
    _is(sagemaker, status, "older")
    with pytest.raises(TransientError, match=f"is {status}"):
        _plan(aws)


def test_a_failed_endpoint_is_deleted_and_made_anew_once_it_is_gone(aws: Aws, sagemaker: Stubber) -> None:
    _is(sagemaker, "Failed", "older", FailureReason="no ping")
    sagemaker.add_response("delete_endpoint", {}, {"EndpointName": ENDPOINT})
    with pytest.raises(TransientError, match="no ping"):
        _plan(aws)
    _is(sagemaker, "Deleting", "older")
    with pytest.raises(TransientError, match="is Deleting"):
        _plan(aws)
    _missing(sagemaker)
    assert _plan(aws)["action"] == "create"


def test_a_project_that_is_no_longer_deployed_is_named(aws: Aws) -> None:
    with pytest.raises(NotFoundError, match=r"'trains' is not deployed in laptop \(deployed: flights\)"):
        plan_deployment(
            {**BASE, "project": "trains", "model_version": "1", "model_data_url": TRAINED},
            PlanDeploymentSettings(
                **aws.shared, zones=aws.buckets, image_uri=IMAGE, model_role_arn=ROLE, kms_key_arn="", **ROLLOUT
            ),
        )


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        (
            {"status": "refused", "reasons": ["It is no better than guessing."]},
            "It is no better than guessing.* It must",
        ),
        ({}, "No gate has judged a model of run r1"),
    ],
)
def test_a_deployment_started_by_hand_serves_nothing_that_the_gate_has_not_passed(
    aws: Aws, sagemaker: Stubber, gate: dict[str, Any], says: str
) -> None:
    aws.begin_run(gate=gate)
    with pytest.raises(InputError, match=says):
        _plan(aws)


def test_a_deployment_of_a_run_that_is_not_there_serves_nothing(aws: Aws, sagemaker: Stubber) -> None:
    aws.begin_run(**PASSED)
    with pytest.raises(NotFoundError, match="r9"):
        _plan(aws, run_id="r9")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_version": "4"}, "made version 3 of flights, not version 4"),
        ({"model_data_url": TRAINED.replace("r1-train", "r0-train")}, "is not what run r1 trained"),
        ({"model_data_url": "s3://elsewhere/model.tar.gz"}, "is not what run r1 trained"),
    ],
)
def test_a_passed_run_lends_its_verdict_to_no_other_model(
    aws: Aws, sagemaker: Stubber, changes: dict[str, Any], says: str
) -> None:
    job = TRAINED.split("/")[-3]
    train = StageRecord(stage="train", status="done", started_at=MOMENT, job_name=job)
    aws.begin_run(stages=(train,), model_version="3", **PASSED)
    with pytest.raises(InputError, match=says):
        _plan(aws, **changes)
    _missing(sagemaker)
    assert _plan(aws)["action"] == "create"


# Trying


@pytest.fixture
def runtime(aws: Aws) -> Iterator[Stubber]:
    with Stubber(clients.client("sagemaker-runtime")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def _bundle(aws: Aws, example: Any = EXAMPLE) -> None:
    body = results.archive({"input_example.json": json.dumps(example).encode()} if example is not None else {"a": b""})
    aws.s3.put_object(Bucket=aws.buckets["models"], Key="model.tar.gz", Body=body)


def _answers(runtime: Stubber, body: bytes) -> None:
    answer = {"Body": StreamingBody(io.BytesIO(body), len(body))}
    sent = {
        "EndpointName": ENDPOINT,
        "Body": json.dumps({"dataframe_split": EXAMPLE["dataframe_split"]}).encode(),
        "ContentType": "application/json",
        "Accept": "application/json",
        "InferenceId": OWN_REQUEST,
    }
    runtime.add_response("invoke_endpoint", answer, sent)


def _try(aws: Aws) -> dict[str, Any]:
    settings = SmokeTestSettings(**aws.shared, zones=aws.buckets)
    return smoke_test(
        {
            **BASE,
            "model_data_url": MODEL,
            "endpoint_name": ENDPOINT,
            "model_version": "1",
            "change": {"phase": "serve"},
        },
        settings,
    )


def test_an_endpoint_that_predicts_as_training_did_passes_with_the_whole_request(aws: Aws, runtime: Stubber) -> None:
    _bundle(aws)
    _answers(runtime, b'{"predictions": [1], "probabilities": [[0.25, 0.7500000001]], "model_version": "1"}')
    assert _try(aws)["endpoint_name"] == ENDPOINT


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b'{"predictions": [0], "probabilities": [[0.25, 0.75]]}', "predictions"),
        (b'{"predictions": [1], "probabilities": [[0.25, 0.751]]}', "probabilities"),
        (b'{"predictions": [1], "probabilities": [[0.25, null]]}', "probabilities"),
        (b'{"predictions": [1]}', "probabilities None"),
        (b'{"predictions": [1], "probabilities": []}', "probabilities"),
        (b"[1]", "not JSON|answers"),
        (b"<html>", "<html>"),
        (b"", "not JSON"),
    ],
)
def test_an_endpoint_that_predicts_otherwise_is_not_relied_on(
    aws: Aws, runtime: Stubber, answer: bytes, says: str
) -> None:
    _bundle(aws)
    _answers(runtime, answer)
    with pytest.raises(JobFailedError, match=says):
        _try(aws)


@pytest.mark.parametrize("code", ["ModelNotReadyException", "ServiceUnavailable", "InternalDependencyException"])
def test_an_endpoint_that_is_not_warm_yet_is_asked_again(aws: Aws, runtime: Stubber, code: str) -> None:
    _bundle(aws)
    runtime.add_client_error("invoke_endpoint", code, "wait", 429)
    with pytest.raises(TransientError):
        _try(aws)


def test_a_model_that_fails_on_its_own_example_is_refused_with_the_containers_words(aws: Aws, runtime: Stubber) -> None:
    _bundle(aws)
    runtime.add_client_error("invoke_endpoint", "ModelError", "column a: unknown", 424)
    with pytest.raises(JobFailedError, match="column a: unknown"):
        _try(aws)


@pytest.mark.parametrize("example", [None, {}, [1], {"dataframe_split": {}}, {"predictions": [1]}])
def test_a_bundle_with_nothing_to_compare_never_passes(aws: Aws, runtime: Stubber, example: Any) -> None:
    _bundle(aws, example)
    with pytest.raises(BundleError, match=r"model\.tar\.gz holds no input_example\.json"):
        _try(aws)


def test_a_bundle_that_is_gone_is_named(aws: Aws, runtime: Stubber) -> None:
    with pytest.raises(NotFoundError, match=r"s3://test-models/model\.tar\.gz is gone"):
        _try(aws)
