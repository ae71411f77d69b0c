"""SageMaker hosting requests, whole: model, endpoint configuration, endpoint. Names carry a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from passerelle.contracts import naming, zones
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import tags

VARIANT: Final = "champion"
Request = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class HostingPlace:
    """Where and as whom models are served."""

    environment: str
    zones: dict[str, str]
    image_uri: str
    role_arn: str
    kms_key_arn: str
    vpc: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The three requests of one deployment; `endpoint` fits CreateEndpoint, and UpdateEndpoint without its tags."""

    endpoint_name: str
    model: Request
    endpoint_config: Request
    endpoint: Request


def deployment(
    place: HostingPlace, project: Project, *, run_id: str, attempt: int, model_data_url: str, model_version: str
) -> Deployment:
    """Return what must be created to serve a model. Equal inputs give equal names, so a retry creates nothing new."""
    marks = tags(project, place.environment, run_id)
    model_name = f"{naming.job_name(project.name, run_id, 'model', attempt)}"
    model: Request = {
        "ModelName": model_name,
        "PrimaryContainer": {
            "Image": place.image_uri,
            "ModelDataUrl": model_data_url,
            "Environment": {"PASSERELLE_MODEL_VERSION": model_version},
        },
        "ExecutionRoleArn": place.role_arn,
        **_network(place, project),
        "Tags": marks,
    }
    config = _config(place, project, model_name)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    config_name = f"{naming.job_name(project.name, run_id, 'config', attempt)}-{digest}"
    endpoint = naming.endpoint_name(place.environment, project.name)
    return Deployment(
        endpoint_name=endpoint,
        model=model,
        endpoint_config={"EndpointConfigName": config_name, **config, "Tags": marks},
        endpoint={"EndpointName": endpoint, "EndpointConfigName": config_name},
    )


def _network(place: HostingPlace, project: Project) -> Request:
    """Serverless Inference knows neither isolation nor a VPC (developer guide, "Serverless endpoints")."""
    if project.serving.profile == "serverless":
        return {}
    return {"EnableNetworkIsolation": True, **({"VpcConfig": dict(place.vpc)} if place.vpc else {})}


def _config(place: HostingPlace, project: Project, model_name: str) -> Request:
    serving = project.serving
    variant: Request = {"VariantName": VARIANT, "ModelName": model_name, "InitialVariantWeight": 1.0}
    if serving.profile == "serverless":
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": serving.memory_mb,
            "MaxConcurrency": serving.max_concurrency,
        }
        return {"ProductionVariants": [variant]}
    variant |= {"InstanceType": serving.instance_type, "InitialInstanceCount": serving.instance_count}
    key = {"KmsKeyId": place.kms_key_arn} if place.kms_key_arn else {}
    config: Request = {"ProductionVariants": [variant], **key}
    if serving.capture_percent:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": serving.capture_percent,
            "DestinationS3Uri": zones.s3_uri(place.zones["predictions"], zones.capture_prefix(project.name)),
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json", "application/jsonlines"],
            },
            **key,
        }
    return config
