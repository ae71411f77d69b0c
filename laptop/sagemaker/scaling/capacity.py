"""What Application Auto Scaling scales at SageMaker: where its capacity is read, and how it is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.errors import SageMakerError, invalid

Call = Callable[[str, dict[str, Any]], dict[str, Any]]
INSTANCES: Final = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED: Final = "sagemaker:variant:DesiredProvisionedConcurrency"
COPIES: Final = "sagemaker:inference-component:DesiredCopyCount"
_VARIANT: Final = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_COMPONENT: Final = re.compile(r"inference-component/([^/]+)")
_PATTERNS: Final = {INSTANCES: _VARIANT, PROVISIONED: _VARIANT, COPIES: _COMPONENT}


@dataclass(frozen=True)
class Capacity:
    """What runs now, and whether it can be changed now (nothing can be while an endpoint is updated)."""

    now: int
    settled: bool
    instance_type: str = ""


@dataclass(frozen=True)
class Resource:
    """A scalable dimension of one variant or inference component."""

    dimension: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, resource_id: str, dimension: str) -> Resource:
        """Raise ValidationException when the two do not belong together, or are not SageMaker's."""
        pattern = _PATTERNS.get(dimension)
        match = pattern.fullmatch(resource_id) if pattern else None
        if match is None:
            raise invalid(
                f"Unsupported service namespace, resource type or scalable dimension: {resource_id}, {dimension}"
            )
        return cls(dimension, match.groups())

    @property
    def least(self) -> int:
        """The smallest MinCapacity: only copies of an inference component scale in to zero."""
        return 0 if self.dimension == COPIES else 1

    @property
    def dimensions(self) -> dict[str, str]:
        """The dimensions of the metrics that scale it."""
        keys = ("InferenceComponentName",) if self.dimension == COPIES else ("EndpointName", "VariantName")
        return dict(zip(keys, self.names, strict=True))

    def read(self, call: Call) -> Capacity:
        """Raise ValidationException when there is no such resource, or it has no such dimension."""
        if self.dimension == COPIES:
            component = call("DescribeInferenceComponent", {"InferenceComponentName": self.names[0]})
            settled = component["InferenceComponentStatus"] == "InService"
            return Capacity(int(component["RuntimeConfig"]["DesiredCopyCount"]), settled)
        endpoint, name = self.names
        description = call("DescribeEndpoint", {"EndpointName": endpoint})
        variant = _named(description.get("ProductionVariants", ()), name)
        if variant is None:
            raise invalid(f"Could not find production variant {name} of endpoint {endpoint} in service")
        settled = description["EndpointStatus"] == "InService"
        if self.dimension == PROVISIONED:
            config = variant.get("CurrentServerlessConfig", {})
            if "ProvisionedConcurrency" not in config:
                raise invalid(f"Variant {name} of endpoint {endpoint} has no ProvisionedConcurrency to scale")
            return Capacity(int(config["ProvisionedConcurrency"]), settled)
        if "CurrentInstanceCount" not in variant:
            raise invalid(f"Variant {name} of endpoint {endpoint} is serverless: it has no instances to scale")
        config = call("DescribeEndpointConfig", {"EndpointConfigName": description["EndpointConfigName"]})
        configured = _named(config["ProductionVariants"], name) or {}
        return Capacity(int(variant["CurrentInstanceCount"]), settled, configured.get("InstanceType", ""))

    def write(self, call: Call, capacity: int) -> None:
        """Ask SageMaker for another capacity, in the way that Application Auto Scaling does."""
        if self.dimension == COPIES:
            request: dict[str, Any] = {"DesiredRuntimeConfig": {"CopyCount": capacity}}
            call("UpdateInferenceComponentRuntimeConfig", {"InferenceComponentName": self.names[0], **request})
            return
        change: dict[str, Any] = {"VariantName": self.names[1]}
        if self.dimension == PROVISIONED:
            change["ServerlessUpdateConfig"] = {"ProvisionedConcurrency": capacity}
        else:
            change["DesiredInstanceCount"] = capacity
        wanted = {"EndpointName": self.names[0], "DesiredWeightsAndCapacities": [change]}
        call("UpdateEndpointWeightsAndCapacities", wanted)


def _named(variants: Any, name: str) -> Mapping[str, Any] | None:
    return next((variant for variant in variants if variant["VariantName"] == name), None)


def scaling_error(code: str, message: str) -> SageMakerError:
    """An error of Application Auto Scaling."""
    return SageMakerError(code, message)
