"""State machines: what each task calls, and what waiting for it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.infra.iam.botocore_model import prefix_of
from tests.infra.iam.needs import Need
from tests.infra.iam.requests import Requests, sagemaker_requests
from tests.infra.iam.templates import Assembly, Resource

#: Step Functions developer guide, "Logging using CloudWatch Logs"; CloudWatch Logs knows no resources for these.
_LOGGING: Final = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
#: The same guide, "X-Ray and Step Functions".
_TRACING: Final = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)
#: How `.sync` waits: by events of a managed rule, which Step Functions keeps itself (guide, "IAM policies").
_WAITING: Final = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
_PROCESSING_RULE: Final = "StepFunctionsGetEventsForSageMakerProcessingJobsRule"
_SPARK_RULE: Final = "StepFunctionsGetEventsForEMRServerlessJobRule"
_EXECUTION_RULE: Final = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
#: SageMaker operation -> the kind of its resource and the parameter that names it; endpoints are changed together with
#: their configuration (service authorization reference).
_SAGEMAKER: Final = {
    "CreateProcessingJob": (("processing-job", "ProcessingJobName"),),
    "CreateTrainingJob": (("training-job", "TrainingJobName"),),
    "CreateHyperParameterTuningJob": (("hyper-parameter-tuning-job", "HyperParameterTuningJobName"),),
    "CreateModel": (("model", "ModelName"),),
    "CreateEndpointConfig": (("endpoint-config", "EndpointConfigName"),),
    "CreateEndpoint": (("endpoint", "EndpointName"), ("endpoint-config", "EndpointConfigName")),
    "UpdateEndpoint": (("endpoint", "EndpointName"), ("endpoint-config", "EndpointConfigName")),
    "CreateInferenceComponent": (("inference-component", "InferenceComponentName"), ("endpoint", "EndpointName")),
    "UpdateInferenceComponent": (("inference-component", "InferenceComponentName"),),
}
#: Operation that only looks -> the one whose resource it looks at.
_LOOKS: Final = {
    "DescribeTrainingJob": "CreateTrainingJob",
    "DescribeHyperParameterTuningJob": "CreateHyperParameterTuningJob",
    "DescribeProcessingJob": "CreateProcessingJob",
    "DescribeEndpoint": "CreateEndpoint",
    "DescribeInferenceComponent": "CreateInferenceComponent",
    "StopTrainingJob": "CreateTrainingJob",
    "StopProcessingJob": "CreateProcessingJob",
}


class UnknownTaskError(Exception):
    """A kind of task of which the proof does not know what it calls."""


def machine_needs(assembly: Assembly, machine: Resource) -> list[Need]:
    """Return everything that a state machine's role needs."""
    requests = sagemaker_requests(assembly).of_machine(machine.properties["DefinitionString"])
    found = [
        need
        for name, state in tasks(definition(machine))
        for need in _task(f"{machine.logical_id}, state {name}", state, assembly, requests)
    ]
    if machine.properties.get("LoggingConfiguration"):
        found += [Need(action, "*", f"Step Functions keeps the log of {machine.logical_id}") for action in _LOGGING]
    if machine.properties.get("TracingConfiguration", {}).get("Enabled"):
        found += [Need(action, "*", f"Step Functions traces {machine.logical_id}") for action in _TRACING]
    return found


def definition(machine: Resource) -> dict[str, Any]:
    """Return a state machine's definition with its substitutions made."""
    text = machine.properties["DefinitionString"]
    for name, value in machine.properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    found: dict[str, Any] = json.loads(text)
    return found


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every task, those of parallel branches and maps as well."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name, state
        for inner in (*state.get("Branches", ()), *filter(None, (state.get("ItemProcessor"),))):
            yield from tasks(inner)


def _task(where: str, state: dict[str, Any], assembly: Assembly, requests: Requests) -> Iterator[Need]:
    integration = state["Resource"].removeprefix("arn:aws:states:::")
    arguments = state.get("Arguments", {})
    if integration == "lambda:invoke":
        yield Need("lambda:InvokeFunction", arguments["FunctionName"], where)
    elif integration == "states:startExecution.sync:2":
        yield from _nested(where, arguments["StateMachineArn"], assembly)
    elif integration == "aws-sdk:sfn:startExecution":
        yield Need("states:StartExecution", arguments["StateMachineArn"], where)
    elif integration == "emr-serverless:startJobRun.sync":
        yield from _spark(where, assembly, requests)
    elif match := re.fullmatch(r"sagemaker:(\w+)\.sync", integration):
        yield from _job(where, _capital(match[1]), assembly, requests)
    elif match := re.fullmatch(r"aws-sdk:(\w+):(\w+)", integration):
        if match[1] == "cloudwatch":
            yield from _alarms(where, _capital(match[2]), assembly, requests)
        elif match[1] == "applicationautoscaling":
            yield from _scaling(where, _capital(match[2]), assembly, requests)
        else:
            yield from _call(where, match[1], _capital(match[2]), assembly, requests)
    else:
        raise UnknownTaskError(f"{where}: tests/infra/iam/states.py does not know what {state['Resource']} needs")


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _nested(where: str, machine: str, assembly: Assembly) -> Iterator[Need]:
    """A nested execution that is waited for (guide, "IAM policies", Step Functions, synchronous)."""
    yield Need("states:StartExecution", machine, where)
    executions = f"{machine.replace(':stateMachine:', ':execution:')}:any"
    yield from (Need(f"states:{action}Execution", executions, where) for action in ("Describe", "Stop"))
    yield from _wait(where, _EXECUTION_RULE, assembly)


def _wait(where: str, rule: str, assembly: Assembly) -> Iterator[Need]:
    arn = assembly.account.arn("events", f"rule/{rule}")
    yield from (Need(action, arn, f"{where} waits for the end") for action in _WAITING)


def _spark(where: str, assembly: Assembly, requests: Requests) -> Iterator[Need]:
    """A job run that is waited for (guide, "IAM policies", EMR Serverless); without an application none is asked for."""
    for request in requests.of("StartJobRun"):
        application = assembly.account.arn("emr-serverless", f"/applications/{request['ApplicationId']}")
        yield Need("emr-serverless:StartJobRun", application, where)
        for action in ("GetJobRun", "CancelJobRun", "TagResource"):
            yield Need(f"emr-serverless:{action}", f"{application}/jobruns/any", where)
        yield Need("iam:PassRole", request["ExecutionRoleArn"], f"{where} hands over this role")
        yield from _wait(where, _SPARK_RULE, assembly)


def _job(where: str, operation: str, assembly: Assembly, requests: Requests) -> Iterator[Need]:
    """A job that is waited for: described, stopped with the execution, and tagged by Step Functions itself."""
    if operation != "CreateProcessingJob":
        raise UnknownTaskError(f"{where}: the rule by which Step Functions waits for {operation} is not known")
    for name in (operation, "DescribeProcessingJob", "StopProcessingJob"):
        yield from _call(where, "sagemaker", name, assembly, requests)
    yield from _wait(where, _PROCESSING_RULE, assembly)


def _call(where: str, service: str, operation: str, assembly: Assembly, requests: Requests) -> Iterator[Need]:
    if service != "sagemaker" or _LOOKS.get(operation, operation) not in _SAGEMAKER:
        raise UnknownTaskError(
            f"{where}: tests/infra/iam/states.py does not know the resource of {service}:{operation}"
        )
    kinds = _SAGEMAKER[_LOOKS.get(operation, operation)]
    samples = requests.of(_LOOKS.get(operation, operation))
    for request in samples:
        arns = [assembly.account.arn("sagemaker", f"{kind}/{request[name]}") for kind, name in kinds]
        if operation in _LOOKS:
            yield Need(f"{prefix_of(service)}:{operation}", arns[0], where)
            continue
        yield from (Need(f"{prefix_of(service)}:{operation}", arn, where) for arn in arns)
        if request.get("Tags"):
            yield Need("sagemaker:AddTags", arns[0], f"{where} gives tags")
        role = request.get("TrainingJobDefinition", request).get("RoleArn", request.get("ExecutionRoleArn"))
        if role:
            yield Need("iam:PassRole", role, f"{where} hands over this role")
    if operation in ("CreateEndpoint", "UpdateEndpoint"):
        # The caller grants the endpoint its key (developer guide, "SageMaker API permissions", CreateEndpoint).
        for config in requests.of("CreateEndpointConfig"):
            if "KmsKeyId" in config:
                yield Need("kms:CreateGrant", config["KmsKeyId"], f"{where}: the volume is encrypted")


def _alarms(where: str, operation: str, assembly: Assembly, requests: Requests) -> Iterator[Need]:
    samples = requests.of(operation)
    if not samples:
        raise UnknownTaskError(f"{where}: tests/infra/iam/requests.py makes no request of cloudwatch:{operation}")
    for request in samples:
        for name in request.get("AlarmNames", [request.get("AlarmName")]):
            arn = assembly.account.arn("cloudwatch", f"alarm:{name}")
            yield Need(f"cloudwatch:{operation}", arn, where)
            if request.get("Tags"):
                yield Need("cloudwatch:TagResource", arn, f"{where} gives tags")


#: Who registers a target: Application Auto Scaling acts in the name of its caller, and makes its service-linked role
#: (SageMaker developer guide, "Auto scaling prerequisites").
_SCALED_ENDPOINT: Final = ("DescribeEndpoint", "UpdateEndpointWeightsAndCapacities")
_SCALED_COMPONENT: Final = ("DescribeInferenceComponent", "UpdateInferenceComponentRuntimeConfig")
_LINKED_ROLE: Final = (
    "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


def _scaling(where: str, operation: str, assembly: Assembly, requests: Requests) -> Iterator[Need]:
    samples = requests.of(operation)
    if not samples:
        raise UnknownTaskError(f"{where}: tests/infra/iam/requests.py makes no request of {operation}")
    account = assembly.account
    for request in samples:
        # The id of a target is not its resource's.
        yield Need(
            f"application-autoscaling:{operation}", account.arn("application-autoscaling", "scalable-target/any"), where
        )
        if operation == "DeregisterScalableTarget":
            continue
        kind, name = request["ResourceId"].split("/")[:2]
        why = f"{where}: Application Auto Scaling, for its caller"
        for action in _SCALED_ENDPOINT if kind == "endpoint" else _SCALED_COMPONENT:
            yield Need(f"sagemaker:{action}", account.arn("sagemaker", f"{kind}/{name}"), why)
        if kind == "endpoint":
            yield Need("sagemaker:DescribeEndpointConfig", account.arn("sagemaker", f"endpoint-config/{name}-any"), why)
        tracking = account.arn("cloudwatch", f"alarm:TargetTracking-{request['ResourceId']}-AlarmHigh-any")
        yield from (
            Need(f"cloudwatch:{action}", tracking, why)
            for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")
        )
        yield Need("iam:CreateServiceLinkedRole", f"arn:aws:iam::{account.number}:{_LINKED_ROLE}", why)
