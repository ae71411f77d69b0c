"""Documented rules of models and endpoint configurations that botocore's model does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laptop.sagemaker.errors import invalid

Request = Mapping[str, Any]


def check_model(request: Request) -> None:
    """Rules of CreateModel."""
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if bool(primary) == bool(several):
        raise invalid("You must provide either PrimaryContainer or Containers, and not both")
    for container in [primary] if primary else several or []:
        if not container.get("Image") and not container.get("ModelPackageName"):
            raise invalid("Either Image or ModelPackageName must be given for a container")
        url = container.get("ModelDataUrl")
        if url and not (url.startswith("s3://") and url.endswith(".tar.gz")):
            raise invalid(f"ModelDataUrl must be an S3 URI of a .tar.gz archive, not {url}")
    if several and len(several) > 1:
        raise invalid("Inference pipelines of several containers are not offered by the laptop's SageMaker")


def check_endpoint_config(request: Request, models: Mapping[str, Request]) -> None:
    """Rules of CreateEndpointConfig; `models` holds the named models that exist."""
    production = request.get("ProductionVariants", [])
    shadow = request.get("ShadowProductionVariants", [])
    if shadow and (len(production) != 1 or len(shadow) != 1):
        raise invalid(
            "You can only specify one variant for ProductionVariants and one variant for ShadowProductionVariants"
        )
    names = [variant["VariantName"] for variant in (*production, *shadow)]
    if len(set(names)) != len(names):
        raise invalid(f"Variant names must be unique within an endpoint configuration: {', '.join(names)}")
    for variant in (*production, *shadow):
        model = models.get(variant.get("ModelName", ""))
        if model is None:
            raise invalid(f'Could not find model "{variant.get("ModelName")}".')
        if "ServerlessConfig" in variant:
            _check_serverless(variant, request, model, count=len(names), shadow=bool(shadow))
        else:
            _check_instance(variant)


def _check_instance(variant: Request) -> None:
    missing = [key for key in ("InstanceType", "InitialInstanceCount") if key not in variant]
    if missing:
        raise invalid(f"Variant {variant['VariantName']} must have {' and '.join(missing)}, or a ServerlessConfig")


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
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise invalid("Data capture is not supported for serverless endpoints")
    if model.get("VpcConfig") or request.get("VpcConfig"):
        raise invalid("VPC configuration is not supported for serverless endpoints")
    if model.get("EnableNetworkIsolation"):
        raise invalid("Network isolation is not supported for serverless endpoints")
