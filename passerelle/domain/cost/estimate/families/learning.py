"""SageMaker: endpoints, notebooks, jobs that a template declares, and tracking servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.domain.cost.estimate.parts import HOURS, Component
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError
from passerelle.domain.cost.rates import instance_rate, serverless_rate, volume_rate, warm_rate

_HOSTING: Final = "SageMaker Hosting"
_PROCESSING: Final = "SageMaker Processing"


def endpoint(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::Endpoint: every variant of its configuration, shadows included."""
    config = resource.named("EndpointConfigName")
    for path in ("ProductionVariants", "ShadowProductionVariants"):
        for variant in config.parts(path):
            # The configuration's variants, with what is used of the endpoint.
            yield from _variant(resource.part(variant.properties))
    if config.value("AsyncInferenceConfig") is not None:
        yield resource.uses("Data in and out", resource.used("monthly_data_gb"), "sagemaker.async.data")


def _variant(variant: Resource) -> Iterator[Component]:
    name = variant.text("VariantName", "variant")
    if variant.value("ServerlessConfig") is not None:
        yield from serverless(
            variant,
            name,
            memory_mb=int(variant.number("ServerlessConfig.MemorySizeInMB")),
            warm=variant.number("ServerlessConfig.ProvisionedConcurrency", 0),
        )
        return
    count, instance_type = variant.number("InitialInstanceCount", 1), variant.text("InstanceType")
    yield Component(
        name=f"{name}: {count:g} × {instance_type}",
        quantity=count * HOURS,
        rate=variant.instance(_HOSTING, instance_type),
    )
    if variant.value("VolumeSizeInGB") is not None:
        gigabytes = count * variant.number("VolumeSizeInGB")
        yield Component(name=f"{name}: volume", quantity=gigabytes, rate=volume_rate(_HOSTING, variant.region))


def serverless(resource: Resource, name: str, *, memory_mb: int, warm: float) -> Iterator[Component]:
    """Return what a serverless variant costs: what is kept warm always, seconds and data by use."""
    if warm:
        rate = warm_rate(memory_mb, resource.region)
        yield Component(name=f"{name}: kept warm", quantity=warm * HOURS * 3600, rate=rate)
    seconds = resource.used("monthly_requests") * resource.used("request_duration_ms") / 1_000
    rate = serverless_rate(memory_mb, resource.region)
    yield Component(name=f"{name}: work with {memory_mb} MB", quantity=seconds, rate=rate, usage=True)
    yield resource.uses(f"{name}: data in and out", resource.used("monthly_data_gb"), "sagemaker.serverless.data")


def notebook(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::NotebookInstance: it is paid while it runs, which is always unless somebody stops it."""
    instance_type = resource.text("InstanceType")
    resource.need_offered(instance_type)
    rate = instance_rate("SageMaker Studio", instance_type, resource.region)
    yield Component(name=instance_type, quantity=resource.used("monthly_hours"), rate=rate)


def app(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::App: the instance under it; the system's own is free."""
    instance_type = resource.text("ResourceSpec.InstanceType", "system")
    if instance_type != "system":
        resource.need_offered(instance_type)
        rate = instance_rate("SageMaker Studio", instance_type, resource.region)
        yield Component(name=instance_type, quantity=resource.used("monthly_hours"), rate=rate, usage=True)


def monitoring(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::MonitoringSchedule: its jobs."""
    path = "MonitoringScheduleConfig.MonitoringJobDefinition"
    if resource.value(path) is None:
        raise UnpricedError("its job definition is a resource of its own; give `monthly_runs` there")
    hours = resource.used("monthly_runs") * resource.used("run_hours")
    yield _job(resource, f"{path}.MonitoringResources.ClusterConfig", hours)


def processing(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::ProcessingJob: it runs once, when it is created."""
    yield _job(resource, "ProcessingResources.ClusterConfig", resource.used("run_hours"))


def _job(resource: Resource, path: str, hours: float) -> Component:
    count, instance_type = resource.number(f"{path}.InstanceCount", 1), resource.text(f"{path}.InstanceType")
    rate = resource.instance(_PROCESSING, instance_type)
    return Component(name=f"{count:g} × {instance_type}", quantity=count * hours, rate=rate, usage=True)


def tracking(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::MlflowTrackingServer: billed every hour that it runs, whatever its size is asked to do."""
    yield resource.hourly(f"Server {resource.text('TrackingServerSize', 'Small')}", 1, "sagemaker.mlflow.hour")


def machines(resource: Resource) -> Iterator[Component]:
    """AWS::SageMaker::Cluster: all its instances."""
    for group in resource.parts("InstanceGroups"):
        count, instance_type = group.number("InstanceCount"), group.text("InstanceType")
        rate = group.instance("SageMaker Cluster", instance_type)
        yield Component(name=f"{count:g} × {instance_type}", quantity=count * HOURS, rate=rate)


PRICERS: Final = {
    "AWS::SageMaker::App": app,
    "AWS::SageMaker::Cluster": machines,
    "AWS::SageMaker::Endpoint": endpoint,
    "AWS::SageMaker::MlflowTrackingServer": tracking,
    "AWS::SageMaker::MonitoringSchedule": monitoring,
    "AWS::SageMaker::NotebookInstance": notebook,
    "AWS::SageMaker::ProcessingJob": processing,
}
