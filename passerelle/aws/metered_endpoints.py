"""Endpoints as they are billed: their variants, how many instances these had, and what they were asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from passerelle.aws.clients import client, still_there, translated
from passerelle.contracts import naming

#: AWS bills none of these: nothing runs yet, or nothing came to run.
_NOT_BILLED: Final = ("Creating", "Failed")
_HOUR: Final = 3600
#: The variable by which a model's server is told its version (`passerelle.domain.requests.hosting`).
_VERSION: Final = "PASSERELLE_MODEL_VERSION"


@dataclass(frozen=True)
class VariantSeen:
    """A variant as DescribeEndpoint and DescribeEndpointConfig have it; `model` is the one that it serves, or ""."""

    endpoint: Mapping[str, Any]
    now: Mapping[str, Any]
    configured: Mapping[str, Any]
    model: str

    @property
    def endpoint_name(self) -> str:
        return str(self.endpoint["EndpointName"])

    @property
    def name(self) -> str:
        return str(self.now["VariantName"])


@dataclass(frozen=True)
class ModelSeen:
    """A model: its ARN, and the version that its server is told."""

    arn: str
    version: str


def billed_endpoints(environment: str) -> list[str]:
    """Return the names of an environment's endpoints that are billed now."""
    begin = naming.endpoint_name(environment, "")
    with translated(f"endpoints of {environment}"):
        pages = client("sagemaker").get_paginator("list_endpoints").paginate(NameContains=begin)
        found = [item for page in pages for item in page["Endpoints"] if item["EndpointStatus"] not in _NOT_BILLED]
    names = [str(item["EndpointName"]) for item in found]
    return [naming.endpoint_name(environment, name.removeprefix(begin)) for name in names if name.startswith(begin)]


def variants_of(name: str) -> Iterator[VariantSeen]:
    """Yield the variants of an endpoint, its shadow too."""
    sagemaker = client("sagemaker")
    with still_there(f"endpoint {name}"):
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
        config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        for kind in ("ProductionVariants", "ShadowProductionVariants"):
            configured = {item["VariantName"]: item for item in config.get(kind, ())}
            for now in endpoint.get(kind, ()):
                found = configured.get(now["VariantName"], {})
                yield VariantSeen(endpoint, now, found, found.get("ModelName") or _component_model(name))


def _component_model(endpoint: str) -> str:
    """Return the model of the component of an endpoint that scales to zero, which is called as the endpoint."""
    found = client("sagemaker").describe_inference_component(InferenceComponentName=endpoint)
    return str(found["Specification"].get("ModelName", ""))


def model_seen(name: str) -> ModelSeen:
    """Return what is known of a model."""
    with still_there(f"model {name}"):
        model = client("sagemaker").describe_model(ModelName=name)
    environ = model.get("PrimaryContainer", {}).get("Environment", {})
    return ModelSeen(model["ModelArn"], environ.get(_VERSION, ""))


def scaling_activities(variant: VariantSeen) -> list[dict[str, Any]]:
    """Return what Application Auto Scaling did to a variant; AWS keeps it for six weeks."""
    named = {
        "ResourceId": f"endpoint/{variant.endpoint_name}/variant/{variant.name}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    if scales_copies(variant):
        named = {
            "ResourceId": f"inference-component/{variant.endpoint_name}",
            "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
        }
    with still_there(f"scaling of {variant.endpoint_name}"):
        pages = client("application-autoscaling").get_paginator("describe_scaling_activities")
        return [
            item for page in pages.paginate(ServiceNamespace="sagemaker", **named) for item in page["ScalingActivities"]
        ]


def scales_copies(variant: VariantSeen) -> bool:
    """Return whether copies of a component are scaled, and not the instances."""
    return "ModelName" not in variant.configured


def asked_of(variant: VariantSeen, start: datetime, end: datetime) -> tuple[float | None, float | None]:
    """Return requests and seconds of the containers' work between two moments; None where CloudWatch has no data."""
    dimensions = [
        {"Name": "EndpointName", "Value": variant.endpoint_name}, {"Name": "VariantName", "Value": variant.name}
    ]  # fmt: skip
    found = daily_sums("AWS/SageMaker", ("Invocations", "ModelLatency"), dimensions, start, end)
    latency = found["ModelLatency"]
    return found["Invocations"], None if latency is None else latency / 1_000_000


def daily_sums(
    namespace: str, names: tuple[str, ...], dimensions: list[dict[str, str]], start: datetime, end: datetime
) -> dict[str, float | None]:
    """Return the sums of metrics between two moments; None where CloudWatch has no data, which is not zero."""
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions},
                "Period": _HOUR,
                "Stat": "Sum",
            },
        }
        for number, name in enumerate(names)
    ]
    values: dict[str, list[float]] = {f"m{number}": [] for number in range(len(names))}
    with translated(f"metrics of {namespace}"):
        pages = client("cloudwatch").get_paginator("get_metric_data")
        for page in pages.paginate(MetricDataQueries=queries, StartTime=start, EndTime=end):
            for result in page["MetricDataResults"]:
                values[result["Id"]] += result["Values"]
    return {name: sum(values[f"m{number}"]) if values[f"m{number}"] else None for number, name in enumerate(names)}
