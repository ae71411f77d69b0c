"""SageMaker hosting requests, whole: model, endpoint configuration, endpoint. Names carry a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from passerelle.contracts import naming, zones
from passerelle.contracts.prediction import LOG_VARIABLE
from passerelle.contracts.variants import VARIANT
from passerelle.domain.project import Project
from passerelle.domain.requests.components import component, host_config
from passerelle.domain.requests.jobs import tags

Request = dict[str, Any]
#: Of one value of a container's environment (API reference, ContainerDefinition).
_VARIABLE_CHARACTERS: Final = 1_024


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
    """The requests of one deployment; `endpoint` fits CreateEndpoint, and UpdateEndpoint without its tags.

    `component` is CreateInferenceComponent, for an endpoint that scales to zero.
    """

    endpoint_name: str
    model: Request
    endpoint_config: Request
    endpoint: Request
    component: Request | None = None


def deployment(
    place: HostingPlace, project: Project, *, run_id: str, attempt: int, model_data_url: str, model_version: str
) -> Deployment:
    """Return what must be created to serve a model. Equal inputs give equal names, so a retry creates nothing new."""
    marks = tags(project, place.environment, run_id)
    endpoint = naming.endpoint_name(place.environment, project.name)
    # A server runs a bundle's code only if the project, which came another way than the bundle, has such.
    code = {"PASSERELLE_PROJECT_CODE": "allowed"} if project.training.model else {}
    content: Request = {
        "PrimaryContainer": {
            "Image": place.image_uri,
            "ModelDataUrl": model_data_url,
            "Environment": {"PASSERELLE_MODEL_VERSION": model_version, **code, **_logged(project)},
        },
        "ExecutionRoleArn": place.role_arn,
        **_network(place, project),
    }
    model: Request = {"ModelName": naming.hosted_name(endpoint, digest(content, run_id, attempt)), **content}
    config = named_config(endpoint, _config(place, project, model["ModelName"]))
    return Deployment(
        endpoint_name=endpoint,
        model=model | {"Tags": marks},
        endpoint_config=config | {"Tags": marks},
        endpoint={"EndpointName": endpoint, "EndpointConfigName": config["EndpointConfigName"]},
        component=(
            component(
                naming.component_name(place.environment, project.name),
                endpoint=endpoint,
                model_name=model["ModelName"],
                serving=project.serving,
            )
            | {"Tags": marks}
            if project.serving.scales_to_zero
            else None
        ),
    )


def digest(*content: Any) -> str:
    """Return eight hex digits over what a resource is made of."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def named_config(endpoint: str, config: Request) -> Request:
    """Return CreateEndpointConfig with the name that its content gives it."""
    return {"EndpointConfigName": naming.hosted_name(endpoint, digest(config)), **config}


def _logged(project: Project) -> dict[str, str]:
    """SageMaker captures nothing of a serverless endpoint: its server logs each prediction (contracts.prediction).

    Its model's inputs are logged in any case. Named are the columns of records, none of which is personal, as many as
    one variable holds: the entity's first, last those that a model may see.
    """
    if project.serving.profile != "serverless":
        return {}
    seen, entity = {column.name for column in project.feature_columns}, project.data.entity_id
    names = [column.name for column in project.derivable_columns]
    names.sort(key=lambda name: (name not in entity, name in seen))
    while len(json.dumps(names)) > _VARIABLE_CHARACTERS:
        names.pop()
    return {LOG_VARIABLE: json.dumps(names)}


def _network(place: HostingPlace, project: Project) -> Request:
    """Serverless Inference knows neither isolation nor a VPC (developer guide, "Serverless endpoints")."""
    if project.serving.profile == "serverless":
        return {}
    return {"EnableNetworkIsolation": True, **({"VpcConfig": dict(place.vpc)} if place.vpc else {})}


def _config(place: HostingPlace, project: Project, model_name: str) -> Request:
    serving = project.serving
    if serving.scales_to_zero:
        return host_config(
            serving, role_arn=place.role_arn, kms_key_arn=place.kms_key_arn, network=_network(place, project)
        )
    variant: Request = {"VariantName": VARIANT, "ModelName": model_name, "InitialVariantWeight": 1.0}
    if serving.profile == "serverless":
        warm = serving.provisioned_concurrency
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": serving.memory_mb,
            "MaxConcurrency": serving.max_concurrency,
            **({"ProvisionedConcurrency": warm} if warm else {}),
        }
        return {"ProductionVariants": [variant]}
    variant |= {"InstanceType": serving.instance_type, "InitialInstanceCount": serving.instances}
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
