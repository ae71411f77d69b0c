"""What a caller of SageMaker must be allowed, from its request (Service Authorization Reference, Amazon SageMaker)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from laptop.sagemaker.arns import arn
from laptop.settings import LaptopSettings

#: What stands in an operation's name -> (its name in a request, its name in an ARN); the longer comes first.
_KINDS: Final = {
    "HyperParameterTuningJob": ("HyperParameterTuningJobName", "hyper-parameter-tuning-job"),
    "TrainingJob": ("TrainingJobName", "training-job"),
    "ProcessingJob": ("ProcessingJobName", "processing-job"),
    "TransformJob": ("TransformJobName", "transform-job"),
    "EndpointConfig": ("EndpointConfigName", "endpoint-config"),
    "InferenceComponent": ("InferenceComponentName", "inference-component"),
    "InferenceComponentRuntimeConfig": ("InferenceComponentName", "inference-component"),
    "Endpoint": ("EndpointName", "endpoint"),
    "Model": ("ModelName", "model"),
}
_INVOCATION: Final = re.compile(r"/endpoints/([^/]+)/.+")
#: Who creates or updates an endpoint needs the action on its configuration, too.
_WITH_CONFIG: Final = ("CreateEndpoint", "UpdateEndpoint")


@dataclass(frozen=True)
class Permission:
    """One action on one resource, and what policies may ask about it."""

    action: str
    resource: str
    conditions: dict[str, str] = field(default_factory=dict)


def permissions(settings: LaptopSettings, operation: str, request: Mapping[str, Any]) -> Iterator[Permission]:
    """Yield what an operation of SageMaker's control plane needs; its own action first."""
    resource = _resource(settings, operation, request)
    yield Permission(f"sagemaker:{operation}", resource)
    if operation == "CreateInferenceComponent":
        yield Permission(f"sagemaker:{operation}", arn(settings, "endpoint", str(request.get("EndpointName"))))
    if operation in _WITH_CONFIG:
        config = arn(settings, "endpoint-config", str(request.get("EndpointConfigName")))
        yield Permission(f"sagemaker:{operation}", config)
    if not operation.startswith("Create"):
        return
    if request.get("Tags"):
        yield Permission("sagemaker:AddTags", resource)
    for given in (request, request.get("TrainingJobDefinition", {})):
        for member in ("RoleArn", "ExecutionRoleArn"):
            if member in given:
                yield Permission("iam:PassRole", given[member], {"iam:passedtoservice": "sagemaker.amazonaws.com"})
    key = {
        "CreateEndpointConfig": request.get("KmsKeyId"),
        "CreateTransformJob": request.get("TransformResources", {}).get("VolumeKmsKeyId"),
    }.get(operation)
    if key:
        yield Permission("kms:CreateGrant", key, {"kms:grantisforawsresource": "true"})


def endpoint_of(settings: LaptopSettings, path: str) -> str | None:
    """Return the ARN of the endpoint that a path of the runtime names."""
    match = _INVOCATION.fullmatch(path)
    return arn(settings, "endpoint", match[1]) if match else None


def _resource(settings: LaptopSettings, operation: str, request: Mapping[str, Any]) -> str:
    if "ResourceArn" in request:
        return str(request["ResourceArn"])
    for word, (member, kind) in _KINDS.items():
        if operation.endswith(word) and member in request:
            return arn(settings, kind, str(request[member]))
    return "*"
