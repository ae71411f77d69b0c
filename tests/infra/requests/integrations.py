"""What a Task state's resource calls: the service and operation of AWS's API, and by which kind of integration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.infra.requests.judge import MAX_PAYLOAD, Request, operation_model, problems, service_model
from tests.infra.requests.sdk_names import to_api

_RESOURCE: Final = re.compile(r"arn:aws:states:::(aws-sdk:)?([\w-]+):(\w+?)(?:\.(sync|sync:2|waitForTaskToken))?")
#: What Step Functions calls a service -> botocore's name, where they differ: SDK integrations take the SDK for Java's
#: package (botocore's `serviceId` in lower case, checked in `Integration.of`), optimized ones have names of their own.
_SERVICES: Final = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sagemakerruntime": "sagemaker-runtime",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
#: Optimized integration -> the parameters that its page lists (Step Functions developer guide, "Supported parameters").
#: CreateProcessingJob: all eleven of the API. Of CreateTrainingJob, CreateEndpointConfig and UpdateEndpoint it lists
#: fewer than we use, so they must be called as SDK integrations; those that are not here are refused alike.
OPTIMIZED: Final[dict[str, frozenset[str]]] = {
    "lambda:invoke": frozenset({"ClientContext", "FunctionName", "InvocationType", "Payload", "Qualifier"}),
    "states:startExecution": frozenset({"Input", "Name", "StateMachineArn"}),
    # The page lists startJobRun as the API's own request, all of it ("Manage Amazon EMR Serverless applications").
    "emr-serverless:startJobRun": frozenset(
        {
            "ApplicationId", "ClientToken", "ConfigurationOverrides", "ExecutionRoleArn", "ExecutionTimeoutMinutes",
            "JobDriver", "Name", "Tags",
        }
    ),
    "sagemaker:createProcessingJob": frozenset(
        {
            "AppSpecification", "Environment", "ExperimentConfig", "NetworkConfig", "ProcessingInputs",
            "ProcessingJobName", "ProcessingOutputConfig", "ProcessingResources", "RoleArn", "StoppingCondition", "Tags",
        }
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Integration:
    """One kind of call. `name` is as in the resource, without pattern: `sagemaker:createProcessingJob`."""

    name: str
    service: str
    operation: str
    is_sdk: bool

    @classmethod
    def of(cls, resource: str) -> Integration:
        """Read a Task's resource.

        Raises LookupError for one that names no operation of AWS.
        """
        match = _RESOURCE.fullmatch(resource)
        if match is None:
            raise LookupError(f"{resource} is no integration of Step Functions")
        sdk, written, action, _ = match.groups()
        service = _SERVICES.get(written, written)
        if sdk and _java_package(service) != written:
            raise LookupError(f"{resource}: the SDK for Java calls {service} {_java_package(service)}")
        operation = action[0].upper() + action[1:]
        operation_model(service, operation)
        return cls(f"{written}:{action}", service, operation, bool(sdk))

    def judge(self, arguments: Mapping[str, Any], models: Mapping[str, Request]) -> tuple[dict[str, Any], list[str]]:
        """Return the request of AWS's API that rendered arguments become, and why it would be refused."""
        found = [] if self.is_sdk else self._not_accepted(arguments)
        request, wrong_names = to_api(self.service, self.operation, _serialised(self, arguments))
        return request, [*found, *wrong_names, *problems(self.service, self.operation, request, models=models)]

    def _not_accepted(self, arguments: Mapping[str, Any]) -> list[str]:
        known = OPTIMIZED.get(self.name)
        if known is None:
            return [f"what the optimized integration {self.name} accepts is not known here: call aws-sdk, or list it"]
        return [
            f"{name}: the optimized integration {self.name} has no such parameter" for name in set(arguments) - known
        ]


def _java_package(service: str) -> str:
    return str(service_model(service).service_id).lower().replace(" ", "")


def _serialised(integration: Integration, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Optimized integrations take JSON where the API takes text or bytes."""
    made = dict(arguments)
    if integration.name == "lambda:invoke" and "Payload" in made:
        made["Payload"] = json.dumps(made["Payload"]).encode()
    if integration.name == "states:startExecution" and not isinstance(made.get("Input", ""), str):
        made["Input"] = json.dumps(made["Input"])
    return made


def too_large(value: Any) -> str | None:
    """Return why a state's input or result cannot cross the machine (quota "Maximum input or result size")."""
    size = len(json.dumps(value).encode())
    return f"{size} bytes are more than a state may take ({MAX_PAYLOAD})" if size > MAX_PAYLOAD else None
