"""Documented rules of models and endpoint configurations that botocore's model does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from laptop.sagemaker.errors import invalid
from laptop.sagemaker.hosting.component_rules import check_component_config, check_managed_scaling, hosts_components

Request = Mapping[str, Any]


#: CreateModel: "The maximum length of all keys and values in the map, combined, is 32 KB."
MAX_ENVIRONMENT_BYTES: Final = 32 * 1024
#: The API's floats have 32 bits.
MAX_WEIGHT: Final = 3.4028235e38


def check_model(request: Request) -> None:
    """Rules of CreateModel."""
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if bool(primary) == bool(several):
        raise invalid("You must provide either PrimaryContainer or Containers, and not both")
    containers = [primary] if primary else several or []
    for container in containers:
        _check_container(container)
    environments = [container.get("Environment", {}) for container in containers]
    size = sum(len(text.encode()) for given in environments for pair in given.items() for text in pair)
    if size > MAX_ENVIRONMENT_BYTES:
        raise invalid(f"Environment has {size} bytes in all; at most {MAX_ENVIRONMENT_BYTES} are allowed")
    if several and len(several) > 1:
        raise invalid("Inference pipelines of several containers are not offered by the laptop's SageMaker")


def _check_container(container: Request) -> None:
    if not container.get("Image") and not container.get("ModelPackageName"):
        raise invalid("Either Image or ModelPackageName must be given for a container")
    for key, what in (("ModelPackageName", "Model packages"), ("MultiModelConfig", "Multi-model endpoints")):
        if key in container:
            raise invalid(f"{what} are not offered by the laptop's SageMaker")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise invalid("Multi-model endpoints are not offered by the laptop's SageMaker")
    _check_data(container)


def _check_data(container: Request) -> None:
    url = container.get("ModelDataUrl")
    if url and not (url.startswith("s3://") and url.endswith(".tar.gz")):
        raise invalid(f"ModelDataUrl must be an S3 URI of a .tar.gz archive, not {url}")
    source = container.get("ModelDataSource")
    if source is not None:
        if url:
            raise invalid("You must provide either ModelDataUrl or ModelDataSource, and not both")
        if "S3DataSource" not in source:
            raise invalid("ModelDataSource must specify one of the available data sources: S3DataSource")
        _check_source(source["S3DataSource"])
    additional = container.get("AdditionalModelDataSources", [])
    channels = [item["ChannelName"] for item in additional]
    if len(set(channels)) != len(channels) or not {".", ".."}.isdisjoint(channels):
        raise invalid(f"AdditionalModelDataSources must have unique channel names: {', '.join(channels)}")
    for item in additional:
        _check_source(item["S3DataSource"])


def _check_source(source: Request) -> None:
    """S3ModelDataSource: a prefix ends with a slash and holds uncompressed files; only an object is an archive."""
    uri, prefix = source["S3Uri"], source["S3DataType"] == "S3Prefix"
    unknown = sorted({"ManifestS3Uri", "ETag", "ManifestEtag", "HubAccessConfig"} & source.keys())
    if unknown:
        raise invalid(f"{', '.join(unknown)} of S3DataSource is not offered by the laptop's SageMaker")
    if not uri.startswith("s3://"):
        raise invalid(f"S3Uri must be an s3:// URI, not {uri}")
    if prefix and source["CompressionType"] == "Gzip":
        raise invalid("CompressionType Gzip needs S3DataType S3Object: an archive is one object")
    if prefix != uri.endswith("/"):
        raise invalid(f"S3Uri must end with a forward slash for S3Prefix, and not for S3Object: {uri}")


def check_endpoint_config(request: Request, models: Mapping[str, Request]) -> None:
    """Rules of CreateEndpointConfig; `models` holds the named models that exist."""
    for key, what in (("AsyncInferenceConfig", "Asynchronous inference"), ("ExplainerConfig", "Online explanations")):
        if key in request:
            raise invalid(f"{what} ({key}) is not offered by the laptop's SageMaker")
    production = request.get("ProductionVariants", [])
    shadow = request.get("ShadowProductionVariants", [])
    if shadow and (len(production) != 1 or len(shadow) != 1):
        raise invalid(
            "You can only specify one variant for ProductionVariants and one variant for ShadowProductionVariants"
        )
    names = [variant["VariantName"] for variant in (*production, *shadow)]
    if len(set(names)) != len(names):
        raise invalid(f"Variant names must be unique within an endpoint configuration: {', '.join(names)}")
    check_weights(production)
    if not request.get("DataCaptureConfig", {}).get("DestinationS3Uri", "s3://").startswith("s3://"):
        raise invalid("DataCaptureConfig.DestinationS3Uri must be an s3:// URI")
    if hosts_components(request):
        check_component_config(request)
    for variant in (*production, *shadow):
        _check_variant(variant, request, models, count=len(names), shadow=bool(shadow))


def _check_variant(
    variant: Request, request: Request, models: Mapping[str, Request], *, count: int, shadow: bool
) -> None:
    check_managed_scaling(variant)
    if "ModelName" not in variant:
        _check_instance(variant)
        return
    model = models.get(variant["ModelName"])
    if model is None:
        raise invalid(f'Could not find model "{variant["ModelName"]}".')
    if "ServerlessConfig" in variant:
        _check_serverless(variant, request, model, count=count, shadow=shadow)
    else:
        _check_instance(variant)


def check_weights(variants: Sequence[Request]) -> None:
    """The share of a variant is its weight divided by the sum of all, so one of several must be above zero."""
    weights = [variant.get("InitialVariantWeight", 1.0) for variant in variants]
    if any(weight > MAX_WEIGHT for weight in weights):
        raise invalid(f"A variant's weight must be at most {MAX_WEIGHT:g}")
    if len(weights) > 1 and not any(weights):
        raise invalid("At least one production variant must have a weight greater than 0")


def _check_instance(variant: Request) -> None:
    missing = [key for key in ("InstanceType", "InitialInstanceCount") if key not in variant]
    if missing:
        raise invalid(f"Variant {variant['VariantName']} must have {' and '.join(missing)}, or a ServerlessConfig")


def captures(config: Request) -> bool:
    """Return whether an endpoint configuration captures data (EnableCapture "defaults to enabled")."""
    return "DataCaptureConfig" in config and bool(config["DataCaptureConfig"].get("EnableCapture", True))


def _check_serverless(variant: Request, request: Request, model: Request, *, count: int, shadow: bool) -> None:
    """Serverless Inference excludes these ("Serverless Inference", feature exclusions)."""
    serverless, name = variant["ServerlessConfig"], variant["VariantName"]
    if "InstanceType" in variant or "InitialInstanceCount" in variant:
        raise invalid(f"Variant {name}: InstanceType and InitialInstanceCount exclude ServerlessConfig")
    if serverless["MemorySizeInMB"] % 1024:
        raise invalid(f"Variant {name}: MemorySizeInMB must be a multiple of 1024, not {serverless['MemorySizeInMB']}")
    if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
        raise invalid(f"Variant {name}: ProvisionedConcurrency must not exceed MaxConcurrency")
    if shadow:
        raise invalid("Shadow variants are not supported for serverless endpoints")
    if count > 1:
        raise invalid("Serverless endpoints have exactly one variant")
    if captures(request):
        raise invalid("Data capture is not supported for serverless endpoints")
    if model.get("VpcConfig") or request.get("VpcConfig"):
        raise invalid("VPC configuration is not supported for serverless endpoints")
    if model.get("EnableNetworkIsolation"):
        raise invalid("Network isolation is not supported for serverless endpoints")
    containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model["Containers"]
    if any("ModelDataSource" in container for container in containers):
        raise invalid("ModelDataSource is not supported for serverless endpoints")
