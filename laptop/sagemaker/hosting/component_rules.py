"""Rules of inference components, and of the endpoint configurations that host them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from laptop.sagemaker.errors import invalid

Request = Mapping[str, Any]
_NOT_OFFERED: Final = {
    "BaseInferenceComponentName": "Adapter inference components",
    "SchedulingConfig": "Placement strategies of inference components",
    "DataCacheConfig": "Data caches of inference components",
}


def hosts_components(config: Request) -> bool:
    """Return whether an endpoint configuration (or a plan) has no model of its own."""
    return any("ModelName" not in variant for variant in config["ProductionVariants"])


def check_component_config(request: Request) -> None:
    """Rules of CreateEndpointConfig for variants without ModelName.

    What the laptop does not offer there (several variants, shadows, data capture) our projects exclude as well.
    """
    variants = request["ProductionVariants"]
    if "ExecutionRoleArn" not in request:
        raise invalid("ExecutionRoleArn must be given for an endpoint configuration with inference components")
    if len(variants) > 1 or "ShadowProductionVariants" in request:
        raise invalid("An endpoint with inference components must have exactly one production variant, and no shadow")
    if "DataCaptureConfig" in request:
        raise invalid("Data capture is not supported for endpoints with inference components")
    if "ServerlessConfig" in variants[0]:
        raise invalid("ModelName must be given for a serverless variant: it cannot host inference components")


def check_managed_scaling(variant: Request) -> None:
    """Rules of ManagedInstanceScaling; a variant with a model of its own cannot have it."""
    scaling = variant.get("ManagedInstanceScaling")
    if scaling is None or scaling.get("Status") != "ENABLED":
        return
    if "ModelName" in variant:
        raise invalid("ManagedInstanceScaling is only supported for inference component endpoints.")
    least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount")
    if most is None or least > most:
        raise invalid(f"ManagedInstanceScaling: MaxInstanceCount must be given and at least MinInstanceCount, {least}")
    if not max(1, least) <= variant.get("InitialInstanceCount", 1) <= most:
        raise invalid(f"InitialInstanceCount must be from {max(1, least)} to {most}, as ManagedInstanceScaling says")


def running_instances(variant: Request, copies: int) -> int:
    """Return how many instances a variant has with so many copies: all of them fit one, on a laptop."""
    scaling = variant.get("ManagedInstanceScaling", {})
    if scaling.get("Status") != "ENABLED":
        return int(variant["InitialInstanceCount"])
    return max(int(scaling.get("MinInstanceCount", 1)), 1 if copies else 0)


def check_endpoint(endpoint: Mapping[str, Any] | None, name: str, variant: str) -> None:
    """A component is created at an endpoint in service, at a variant that has no model of its own."""
    if endpoint is None:
        raise invalid(f'Could not find endpoint "{name}".')
    if endpoint["EndpointStatus"] != "InService":
        raise invalid(f'Endpoint "{name}" must be InService to create an inference component, not '
                      f"{endpoint['EndpointStatus']}.")  # fmt: skip
    found = [item for item in endpoint["_plan"]["ProductionVariants"] if item["VariantName"] == variant]
    if not found:
        raise invalid(f'Could not find production variant "{variant}" of endpoint "{name}".')
    if "ModelName" in found[0]:
        raise invalid(f'Variant "{variant}" has a model: inference components need a variant without ModelName.')


def check_copies(count: int) -> int:
    """A component cannot be created cold; auto scaling takes its copies away later."""
    if count < 1:
        raise invalid("Inference components copy count must be an integer larger than 0 when they are created")
    return count


def check_specification(specification: Request) -> None:
    """Rules of InferenceComponentSpecification."""
    for key, what in _NOT_OFFERED.items():
        if key in specification:
            raise invalid(f"{what} ({key}) are not offered by the laptop's SageMaker")
    if ("ModelName" in specification) == ("Container" in specification):
        raise invalid("Specification must have either ModelName or Container, and not both")
    if "Container" in specification and "Image" not in specification["Container"]:
        raise invalid("Image must be given for a Container")
    if "ComputeResourceRequirements" not in specification:
        raise invalid("ComputeResourceRequirements must be given")
    needs = specification["ComputeResourceRequirements"]
    if not {"NumberOfCpuCoresRequired", "NumberOfAcceleratorDevicesRequired"} & needs.keys():
        raise invalid("NumberOfCpuCoresRequired or NumberOfAcceleratorDevicesRequired must be given")
    if needs.get("MaxMemoryRequiredInMb", needs["MinMemoryRequiredInMb"]) < needs["MinMemoryRequiredInMb"]:
        raise invalid("MaxMemoryRequiredInMb must be at least MinMemoryRequiredInMb")


def container_of(specification: Request, model: Request | None) -> dict[str, Any]:
    """Return what a copy runs, in a model's form."""
    if model is not None:
        return {key: model[key] for key in ("PrimaryContainer", "Containers", "EnableNetworkIsolation",
                                            "ExecutionRoleArn") if key in model}  # fmt: skip
    given = specification["Container"]
    container = {"Image": given["Image"], "Environment": given.get("Environment", {})}
    if "ArtifactUrl" in given:
        container["ModelDataUrl"] = given["ArtifactUrl"]
    return {"PrimaryContainer": container}
