"""The judges of requests notice what AWS would refuse: each request here is sound but for one thing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.sagemaker_requests import endpoint_config, model, processing, serverless, training
from tests.infra.conftest import ROOT
from tests.infra.iam.templates import Resource
from tests.infra.requests.integrations import Integration, too_large
from tests.infra.requests.judge import MAX_PAYLOAD, NoSuchOperationError, problems
from tests.infra.requests.machines import RefusalError, ScenarioError, Walk
from tests.infra.requests.sdk_names import sdk_name, to_api

MODELS = {"contract-model": model("contract-model")}
SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}}
SERVERLESS = endpoint_config("c", ProductionVariants=[serverless("main")])
CAPTURE = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
SOUND: list[tuple[str, dict[str, Any]]] = [
    ("CreateTrainingJob", training("n" * 63, **SPOT)),
    ("CreateProcessingJob", processing("n" * 63)),
    ("CreateModel", model("n" * 63)),
    ("CreateEndpointConfig", endpoint_config("n" * 63)),
    ("CreateEndpointConfig", SERVERLESS),
]


@pytest.mark.parametrize(("operation", "request_"), SOUND)
def test_a_sound_request_has_no_problem(operation: str, request_: dict[str, Any]) -> None:
    assert problems("sagemaker", operation, request_, models=MODELS) == []


@pytest.mark.parametrize(
    ("operation", "request_", "says"),
    [
        ("CreateTrainingJob", training("n" * 64), "less than or equal to 63"),
        ("CreateTrainingJob", training("a_b"), "regular expression"),
        ("CreateTrainingJob", training("n", TrainingJobNames=["n"]), "Unknown parameter"),
        ("CreateTrainingJob", training("n", RoleArn=None), "Missing required parameter"),
        ("CreateTrainingJob", training("n", ResourceConfig__InstanceType="ml.m5.huge"), "enum value set"),
        ("CreateTrainingJob", training("n", ResourceConfig__InstanceCount="1"), "Invalid type"),
        ("CreateTrainingJob", training("n", EnableManagedSpotTraining=True), "MaxWaitTimeInSeconds must be"),
        ("CreateTrainingJob", training("n", **SPOT, ResourceConfig__KeepAlivePeriodInSeconds=60), "Warm pools"),
        ("CreateProcessingJob", processing("n", AppSpecification__ContainerArguments=[]), "length"),
        ("CreateProcessingJob", processing("n", Environment={"K": "v" * 257}), "less than or equal to 256"),
        ("CreateModel", model("n", PrimaryContainer__ModelDataUrl="s3://b/model.zip"), "must be an S3 URI of a .tar.gz"),
        ("CreateEndpointConfig", {**SERVERLESS, "DataCaptureConfig": CAPTURE}, "Data capture is not supported"),
        ("CreateEndpointConfig", {**SERVERLESS, "Tags": [{"Key": "k"}]}, "Missing required parameter"),
        ("CreateEndpointConfig", endpoint_config("c", Tags=[{"Key": "k", "Value": "R&D"}]), "'&' is not allowed"),
        ("CreateEndpointConfig", endpoint_config("c", Tags=[{"Key": "aws:k", "Value": "v"}]), "AWS's own"),
        ("CreateEndpointConfig", endpoint_config("c", Tags=[{"Key": "k", "Value": ""}] * 2), "given twice"),
        ("CreateEndpoint", {"EndpointName": "e-", "EndpointConfigName": "c"}, "regular expression"),
        ("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c", "Tags": []}, "Unknown parameter"),
    ],
)  # fmt: skip
def test_what_sagemaker_would_refuse_is_noticed(operation: str, request_: dict[str, Any], says: str) -> None:
    found = problems("sagemaker", operation, request_, models=MODELS)
    assert any(says in text for text in found), found


MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"


@pytest.mark.parametrize(
    ("service", "operation", "request_", "says"),
    [
        ("stepfunctions", "StartExecution", {"stateMachineArn": MACHINE, "name": "n" * 81}, "less than or equal to 80"),
        ("stepfunctions", "StartExecution", {"stateMachineArn": MACHINE, "name": "a b:c"}, "' :' must not be"),
        (
            "stepfunctions",
            "StartExecution",
            {"stateMachineArn": MACHINE, "input": "é" * (MAX_PAYLOAD // 2 + 1)},
            "bytes",
        ),
        ("ecs", "RunTask", {"taskDefinition": "t", "clientToken": "é"}, "visible ASCII"),
        ("ecs", "RunTask", {"taskDefinition": "t", "launchType": "FARGAT"}, "enum value set"),
        ("codebuild", "StartBuild", {"projectName": "p", "idempotencyToken": "t" * 65}, "at most 64"),
        ("ecr", "DescribeImages", {"repositoryName": "With Capitals"}, "regular expression"),
        ("rds", "StopDBInstance", {"DbInstanceIdentifier": "d"}, "Unknown parameter"),
        ("logs", "DescribeLogStreams", {"logGroupName": "a b"}, "regular expression"),
        ("sts", "GetCallerIdentity", {"Account": "1"}, "Unknown parameter"),
    ],
)
def test_what_other_services_would_refuse_is_noticed(
    service: str, operation: str, request_: dict[str, Any], says: str
) -> None:
    found = problems(service, operation, request_)
    assert any(says in text for text in found), found


# Names of the SDK


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("DBInstanceIdentifier", "DbInstanceIdentifier"),
        ("desiredCount", "DesiredCount"),
        ("VolumeSizeInGB", "VolumeSizeInGB"),
        ("KMSKeyId", "KmsKeyId"),
        ("S3OutputPath", "S3OutputPath"),
        ("MaxRuntimeInSeconds", "MaxRuntimeInSeconds"),
    ],
)
def test_members_are_called_as_in_the_sdk_for_java(member: str, name: str) -> None:
    assert sdk_name(member) == name


def test_a_name_in_the_apis_own_case_is_refused_with_the_right_one() -> None:
    assert to_api("rds", "StopDBInstance", {"DbInstanceIdentifier": "d"}) == ({"DBInstanceIdentifier": "d"}, [])
    (problem,) = to_api("rds", "StopDBInstance", {"DBInstanceIdentifier": "d"})[1]
    assert problem == "DBInstanceIdentifier: no such parameter; write DbInstanceIdentifier"
    (problem,) = to_api("ecs", "UpdateService", {"service": "s"})[1]
    assert "write Service" in problem


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::aws-sdk:sagemaker:createTrainingJobs",
        "arn:aws:states:::aws-sdk:application-autoscaling:registerScalableTarget",
        "arn:aws:states:::aws-sdk:stepfunctions:startExecution",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
    ],
)
def test_a_resource_that_names_no_operation_is_refused(resource: str) -> None:
    with pytest.raises((LookupError, NoSuchOperationError)):
        Integration.of(resource)


def test_services_are_found_under_the_names_of_both_kinds_of_integration() -> None:
    scaling = Integration.of("arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget")
    assert (scaling.service, scaling.operation) == ("application-autoscaling", "RegisterScalableTarget")
    assert Integration.of("arn:aws:states:::states:startExecution.sync:2").service == "stepfunctions"


def test_an_optimized_integration_takes_only_the_parameters_of_its_page() -> None:
    start = Integration.of("arn:aws:states:::states:startExecution.sync:2")
    assert start.judge({"StateMachineArn": MACHINE, "Name": "n", "Input": {"a": 1}}, {})[1] == []
    assert any("TraceHeader" in text for text in start.judge({"StateMachineArn": MACHINE, "TraceHeader": "t"}, {})[1])
    # Its page lists fewer parameters than ours has; which, nobody can read any more.
    train = Integration.of("arn:aws:states:::sagemaker:createTrainingJob.sync")
    assert any("call aws-sdk" in text for text in train.judge(training("n"), {})[1])


def test_a_payload_that_is_too_large_for_a_state_is_noticed() -> None:
    assert too_large({"a": "x" * MAX_PAYLOAD})
    assert too_large({"a": "x"}) is None


# The walk


def _walk(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], answer: Any = None) -> Walk:
    """The first deployment's CreateModel, changed, before a state that ends."""
    text = (ROOT / "infra/state_machines/deploy_model.asl.json").read_text()
    state = {**json.loads(text)["States"]["CreateModel"], **change}
    end = {"Type": "Succeed"}
    states = {"CreateModel": state, state["Next"]: end, "IsModelThere": end}
    text = json.dumps({"StartAt": "CreateModel", "States": states})
    monkeypatch.setattr("tests.infra.requests.machines.file_of", lambda _: "changed.asl.json")

    def call(*_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    machine = Resource("stack", "Machine", "AWS::StepFunctions::StateMachine", {"DefinitionString": text})
    return Walk(machine, {"Name": "n"}, call, {})


INPUT = {"model": model("a-model")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{% $merge([$states.input.model, {'ExecutionRole': 'r'}]) %}", "no such parameter"),
        (
            "{% $merge([$states.input.model, {'ModelName': $states.input.model.ModelName & '!'}]) %}",
            "regular expression",
        ),
        ("{% $sift($states.input.model, function($v, $k) {$k != 'ModelName'}) %}", "Missing required parameter"),
        ({"ModelName": "m", "PrimaryContainer": {"Image": "{% $states.context.Execution.Id %}"}}, "Invalid type"),
    ],
)
def test_a_definition_that_renders_a_wrong_request_is_noticed_with_its_state(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, says: str
) -> None:
    walk = _walk(monkeypatch, {"Arguments": arguments}, {})
    walk.run(INPUT)
    (rendered,) = walk.rendered
    assert (rendered.file, rendered.state) == ("changed.asl.json", "CreateModel")
    assert any(says in text for text in rendered.problems), rendered.problems


def test_a_walk_follows_catches_and_refuses_what_nothing_catches(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = RefusalError("SageMaker.SageMakerException", "already existing")
    assert _walk(monkeypatch, {}, refused).run(INPUT)["caught"]["Cause"] == "already existing"
    with pytest.raises(ScenarioError, match=r"changed.asl.json, CreateModel: nothing catches States.Timeout"):
        _walk(monkeypatch, {}, RefusalError("States.Timeout", "")).run(INPUT)
