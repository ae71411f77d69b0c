"""AWS::SageMaker::Model, EndpointConfig and Endpoint in templates, made real by the local SageMaker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError

_TYPES: Final = {
    "AWS::SageMaker::Model": ("Model", "ModelName", "ModelArn"),
    "AWS::SageMaker::EndpointConfig": ("EndpointConfig", "EndpointConfigName", "EndpointConfigArn"),
    "AWS::SageMaker::Endpoint": ("Endpoint", "EndpointName", "EndpointArn"),
}
#: Properties that CloudFormation has and the API has not.
_NOT_IN_THE_API: Final = ("ExcludeRetainedVariantProperties", "RetainAllVariantProperties", "RetainDeploymentConfig")


def install_sagemaker_types(sagemaker: SageMaker) -> None:
    """Register the three types; a changed model or configuration is replaced, as both are immutable."""
    from ministack.services.cloudformation import provisioners

    for type_, (operation, name_key, arn_key) in _TYPES.items():
        provisioners._RESOURCE_HANDLERS[type_] = _handlers(sagemaker, operation, name_key, arn_key)
        provisioners._STACK_TAG_PROPERTY[type_] = ("Tags", "list")


def _handlers(sagemaker: SageMaker, operation: str, name_key: str, arn_key: str) -> dict[str, Callable[..., Any]]:
    def call(verb: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return sagemaker.call(f"{verb}{operation}", request)
        except SageMakerError as error:
            raise ValueError(f"{error.code}: {error.message}") from error

    def create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        from ministack.services.cloudformation.provisioners import _physical_name

        request = {key: value for key, value in properties.items() if key not in _NOT_IN_THE_API}
        generated = f"{_physical_name(stack, logical, max_len=50)}-{time.time_ns() % 10**6:06d}"
        request.setdefault(name_key, generated.replace("_", "-"))
        answer = call("Create", request)
        return request[name_key], {arn_key: answer[arn_key], name_key: request[name_key]}

    def update(physical: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        if operation != "Endpoint":
            created, attributes = create("Replaced", {k: v for k, v in new.items() if k != name_key}, stack)
            return created, attributes
        answer = call("Update", {name_key: physical, "EndpointConfigName": new["EndpointConfigName"]})
        return physical, {arn_key: answer[arn_key], name_key: physical}

    def delete(physical: str, properties: Any) -> None:
        try:
            sagemaker.call(f"Delete{operation}", {name_key: physical})
        except SageMakerError as error:
            if "Could not find" not in error.message:
                raise ValueError(error.message) from error

    return {"create": create, "update": update, "delete": delete}
