"""Functions, containers, machines and builds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from passerelle.domain.cost.estimate.parts import HOURS, Component
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError
from passerelle.domain.cost.rates import row_rate

#: Fargate Spot takes up to 70 % off the price on demand (AWS's Fargate page); what it really takes moves, and nobody
#: publishes an average, so that the price on demand is expected.
FARGATE_SPOT_LOW: Final = 0.3
_ARCHITECTURES: Final = {"ARM64": "arm", "X86_64": "x86"}
_COMPUTE: Final = {
    ("LINUX_CONTAINER", "BUILD_GENERAL1_SMALL"): "codebuild.linux.small",
    ("ARM_CONTAINER", "BUILD_GENERAL1_SMALL"): "codebuild.arm.small",
}


def function(resource: Resource) -> Iterator[Component]:
    """AWS::Lambda::Function: calls and GB-seconds; the disk beyond 512 MB and the like are not counted."""
    architecture = str((resource.items("Architectures") or ["x86_64"])[0])
    gigabytes = resource.number("MemorySize", 128) / 1024
    if architecture not in ("arm64", "x86_64"):
        raise UnpricedError(f"Architectures: {architecture!r} is neither arm64 nor x86_64")
    calls = resource.used("monthly_requests")
    yield resource.uses("Calls", calls, f"lambda.{architecture}.request")
    seconds = calls * resource.used("request_duration_ms") / 1_000
    yield resource.uses("Work", seconds * gigabytes, f"lambda.{architecture}.gb_second")


def provisioned(resource: Resource) -> Iterator[Component]:
    """AWS::Lambda::Alias and Version: environments that are kept warm."""
    warm = resource.number("ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions", 0)
    if not warm:
        return
    served = resource.named("FunctionName")
    architecture = str((served.items("Architectures") or ["x86_64"])[0])
    seconds = warm * HOURS * 3600 * served.number("MemorySize", 128) / 1024
    yield resource.exists("Kept warm", seconds, f"lambda.{architecture}.provisioned")


def service(resource: Resource) -> Iterator[Component]:
    """AWS::ECS::Service on Fargate: its tasks, in the hours in which schedules let it run."""
    capacity = [item.text("CapacityProvider") for item in resource.parts("CapacityProviderStrategy")]
    launch = resource.text("LaunchType", "" if capacity else "EC2")
    if launch == "EC2" or not (launch == "FARGATE" or all(name.startswith("FARGATE") for name in capacity)):
        return  # the machines are paid, as resources of their own
    task = resource.named("TaskDefinition")
    count, hours = resource.number("DesiredCount", 1), resource.hours
    architecture = _ARCHITECTURES.get(task.text("RuntimePlatform.CpuArchitecture", "X86_64").upper(), "x86")
    low = FARGATE_SPOT_LOW if capacity and set(capacity) == {"FARGATE_SPOT"} else 1.0
    sizes = (("Processors", "Cpu", "vcpu"), ("Memory", "Memory", "memory"))
    for name, size, meter in sizes:
        quantity = count * hours * _fargate_size(task, size)
        found = resource.exists(name, quantity, f"fargate.{architecture}.{meter}")
        yield replace(found, low=low, hours=hours)
    if resource.text("NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp", "DISABLED") == "ENABLED":
        yield replace(resource.exists("Public addresses", count * hours, "public_ipv4.hour"), hours=hours)


def _fargate_size(task: Resource, name: str) -> float:
    """Return vCPUs or GB: templates give 1/1024 of one, or text with a unit."""
    text = task.text(name).strip()
    for unit in ("vCPU", "GB"):
        if text.lower().endswith(unit.lower()):
            return float(text[: -len(unit)])
    return task.number(name) / 1024


def cluster(resource: Resource) -> Iterator[Component]:
    """AWS::EKS::Cluster: its control plane; machines are resources of their own."""
    yield resource.hourly("Control plane", 1, "eks.cluster")


def machine(resource: Resource) -> Iterator[Component]:
    """AWS::EC2::Instance: Linux on demand, with its volumes."""
    instance_type = resource.text("InstanceType", "m1.small")
    resource.need_offered(instance_type)
    rate = row_rate("EC2 on-demand Linux", instance_type, resource.region, "instance-hour")
    yield Component(name=f"{instance_type}, Linux", quantity=HOURS, rate=rate)
    for mapping in resource.parts("BlockDeviceMappings"):
        if isinstance(mapping.value("Ebs"), dict):
            yield volume_of(mapping.part(mapping.value("Ebs")), "VolumeSize")


def volume(resource: Resource) -> Iterator[Component]:
    """AWS::EC2::Volume."""
    yield volume_of(resource, "Size")


def volume_of(resource: Resource, size: str) -> Component:
    """Return what a disk costs by its size; throughput and operations beyond those included are not counted."""
    kind = resource.text("VolumeType", "gp2")
    if kind not in ("gp2", "gp3"):
        raise UnpricedError(f"no price of EBS {kind} volumes is in the table")
    return resource.exists(f"{kind} volume", resource.number(size), f"ebs.{kind}")


def builds(resource: Resource) -> Iterator[Component]:
    """AWS::CodeBuild::Project: minutes of builds."""
    kind = resource.text("Environment.Type"), resource.text("Environment.ComputeType")
    if kind not in _COMPUTE:
        raise UnpricedError(f"no price of CodeBuild {' '.join(kind)} is in the table")
    yield resource.uses("Build minutes", resource.used("monthly_minutes"), _COMPUTE[kind])


PRICERS: Final = {
    "AWS::CodeBuild::Project": builds,
    "AWS::EC2::Instance": machine,
    "AWS::EC2::Volume": volume,
    "AWS::ECS::Service": service,
    "AWS::EKS::Cluster": cluster,
    "AWS::Lambda::Alias": provisioned,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::Version": provisioned,
    "AWS::Serverless::Function": function,
}
