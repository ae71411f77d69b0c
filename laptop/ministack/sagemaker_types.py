"""AWS::SageMaker::Model, EndpointConfig and Endpoint in templates, made real by the local SageMaker."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from laptop.ministack.worker_threads import run_on_threads
from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError

#: CloudFormation waits for an endpoint as long as SageMaker works on it; a laptop's server answers in seconds.
ENDPOINT_SECONDS: Final = 600.0
POLL_SECONDS: Final = 0.25
#: Properties of AWS::SageMaker::Endpoint that only UpdateEndpoint takes.
_ONLY_AT_UPDATE: Final = ("ExcludeRetainedVariantProperties", "RetainAllVariantProperties", "RetainDeploymentConfig")


@dataclass(frozen=True)
class _Type:
    """What differs between the types; `fixed` are the properties whose change needs a new resource."""

    operation: str
    fixed: tuple[str, ...]

    @property
    def name_key(self) -> str:
        return f"{self.operation}Name"

    @property
    def arn_key(self) -> str:
        return f"{self.operation}Arn"


#: `fixed`: createOnlyProperties of CloudFormation's resource schemas.
_TYPES: Final = {
    "AWS::SageMaker::Model": _Type(
        "Model",
        ("Containers", "EnableNetworkIsolation", "ExecutionRoleArn", "InferenceExecutionConfig", "ModelName",
         "PrimaryContainer", "VpcConfig"),
    ),
    "AWS::SageMaker::EndpointConfig": _Type(
        "EndpointConfig",
        ("AsyncInferenceConfig", "DataCaptureConfig", "EnableNetworkIsolation", "EndpointConfigName",
         "ExecutionRoleArn", "ExplainerConfig", "KmsKeyId", "MetricsConfig", "ProductionVariants",
         "ShadowProductionVariants", "VpcConfig"),
    ),
    "AWS::SageMaker::Endpoint": _Type("Endpoint", ("EndpointName",)),
}  # fmt: skip


def install_sagemaker_types(sagemaker: SageMaker) -> None:
    """Register the three types. A changed model or configuration is replaced, as both are immutable."""
    from ministack.services.cloudformation import provisioners

    for name, type_ in _TYPES.items():
        resource = _Resource(sagemaker, type_)
        provisioners._RESOURCE_HANDLERS[name] = {
            "create": resource.create,
            "update": resource.update,
            "delete": resource.delete,
        }
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
        provisioners._REPLACING_PROPERTIES[name] = type_.fixed
        provisioners._CUSTOM_NAME_REPLACEMENT[name] = {"name": type_.name_key}
    run_on_threads(_TYPES)


class _Resource:
    """Creates, updates and deletes the resources of one type."""

    def __init__(self, sagemaker: SageMaker, type_: _Type) -> None:
        self._sagemaker, self._type = sagemaker, type_

    def create(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        from ministack.services.cloudformation.provisioners import _physical_name

        request = {key: value for key, value in properties.items() if key not in _ONLY_AT_UPDATE}
        request["Tags"] = _own_tags(properties)
        # A replacement lives beside its predecessor until the stack is done, so its name must differ.
        generated = f"{_physical_name(stack, logical, max_len=50)}-{time.time_ns() % 10**6:06d}"
        name = request.setdefault(self._type.name_key, generated.replace("_", "-"))
        answer = self._call("Create", request)
        try:
            self._settle(name, properties)
        except ValueError:
            self.delete(name, properties)  # a stack that fails leaves nothing behind
            raise
        return name, {self._type.arn_key: answer[self._type.arn_key], self._type.name_key: name}

    def update(self, physical: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        """Only an endpoint's configuration and tags can change in place; MiniStack replaces for the rest."""
        arn = self._call("Describe", {self._type.name_key: physical})[self._type.arn_key]
        if new.get("Tags") != old.get("Tags"):
            self._retag(arn, _own_tags(old), _own_tags(new))
        if self._type.operation == "Endpoint" and _without_tags(old) != _without_tags(new):
            request = {key: value for key, value in new.items() if key not in ("Tags", "EndpointName")}
            self._call("Update", {"EndpointName": physical, **request})
            self._settle(physical, new)
        return physical, {self._type.arn_key: arn, self._type.name_key: physical}

    def delete(self, physical: str, properties: Any) -> None:
        try:
            self._sagemaker.call(f"Delete{self._type.operation}", {self._type.name_key: physical})
        except SageMakerError as error:
            if "Could not find" not in error.message:
                raise ValueError(error.message) from error
        if self._type.operation == "Endpoint":
            self._await_end(physical)

    def _await_end(self, name: str) -> None:
        """CloudFormation deletes what an endpoint needs, and frees its name, only when it is gone."""
        deadline = time.monotonic() + ENDPOINT_SECONDS
        while True:
            try:
                self._sagemaker.call("DescribeEndpoint", {"EndpointName": name})
            except SageMakerError:
                return
            if time.monotonic() > deadline:
                raise ValueError(f"Endpoint {name} is still being deleted after {ENDPOINT_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _call(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._sagemaker.call(f"{verb}{self._type.operation}", request)
        except SageMakerError as error:
            raise ValueError(f"{error.code}: {error.message}") from error

    def _retag(self, arn: str, old: list[dict[str, str]], new: list[dict[str, str]]) -> None:
        gone = sorted({tag["Key"] for tag in old} - {tag["Key"] for tag in new})
        if gone:
            self._sagemaker.call("DeleteTags", {"ResourceArn": arn, "TagKeys": gone})
        if new:
            self._sagemaker.call("AddTags", {"ResourceArn": arn, "Tags": new})

    def _settle(self, name: str, properties: dict[str, Any]) -> None:
        """Wait until an endpoint serves the wanted configuration.

        Raises ValueError when it fails or falls back to the previous one.
        """
        if self._type.operation != "Endpoint":
            return
        deadline = time.monotonic() + ENDPOINT_SECONDS
        endpoint = self._call("Describe", {"EndpointName": name})
        while endpoint["EndpointStatus"] in ("Creating", "Updating", "RollingBack", "SystemUpdating"):
            if time.monotonic() > deadline:
                raise ValueError(
                    f"Endpoint {name} is still {endpoint['EndpointStatus']} after {ENDPOINT_SECONDS:.0f} s"
                )
            time.sleep(POLL_SECONDS)
            endpoint = self._call("Describe", {"EndpointName": name})
        wanted = properties["EndpointConfigName"]
        if endpoint["EndpointStatus"] != "InService" or endpoint["EndpointConfigName"] != wanted:
            reason = endpoint.get("FailureReason", "it serves the previous configuration again")
            raise ValueError(f"Endpoint {name} did not get into service with {wanted}: {reason}")


def _without_tags(properties: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key != "Tags"}


def _own_tags(properties: dict[str, Any]) -> list[dict[str, str]]:
    """CloudFormation's own aws:cloudformation:* tags are set by AWS itself; SageMaker refuses them from others."""
    return [tag for tag in properties.get("Tags") or [] if not tag["Key"].startswith("aws:")]
