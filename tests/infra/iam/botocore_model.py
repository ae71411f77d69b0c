"""From methods of boto3's clients to operations of AWS's APIs, by botocore's own models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import botocore.session
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.waiter import WaiterModel

#: Methods that boto3 adds to S3's client: their positional arguments, and the operations that s3transfer calls.
TRANSFERS: Final = {
    "upload_file": (("Filename", "Bucket", "Key"), ("PutObject", "AbortMultipartUpload")),
    "upload_fileobj": (("Fileobj", "Bucket", "Key"), ("PutObject", "AbortMultipartUpload")),
    "download_file": (("Bucket", "Key", "Filename"), ("HeadObject", "GetObject")),
    "download_fileobj": (("Bucket", "Key", "Fileobj"), ("HeadObject", "GetObject")),
    "copy": (("CopySource", "Bucket", "Key"), ("HeadObject", "CopyObject", "AbortMultipartUpload")),
}
#: Services whose methods the proof looks for on objects that it cannot follow.
SERVICES: Final = (
    "application-autoscaling", "cloudwatch", "codebuild", "dynamodb", "ecr", "ecs", "emr-serverless", "events", "lambda", "logs",
    "resourcegroupstaggingapi", "s3", "sagemaker", "sagemaker-runtime", "secretsmanager", "sns", "sqs", "ssm", "stepfunctions", "sts",
)  # fmt: skip
#: Where the prefix of IAM actions is not the name with which requests are signed (service authorization reference).
_PREFIXES: Final = {"monitoring": "cloudwatch", "elasticloadbalancing": "elasticloadbalancing", "tagging": "tag"}


class UnknownCallError(Exception):
    """botocore has no such service or method."""


@dataclass(frozen=True)
class Operation:
    """One operation: IAM's prefix of the service, and the operation's name."""

    prefix: str
    name: str


@cache
def _loader() -> Loader:
    found: Loader = botocore.session.get_session().get_component("data_loader")
    return found


@cache
def _service(service: str) -> ServiceModel:
    return ServiceModel(_loader().load_service_model(service, "service-2"), service_name=service)


@cache
def _methods(service: str) -> dict[str, str]:
    return {xform_name(name): name for name in _service(service).operation_names}


#: Every method name of those services.
METHODS: Final = frozenset(
    {*TRANSFERS, "get_paginator", "get_waiter", *(name for service in SERVICES for name in _methods(service))}
)


def prefix_of(service: str) -> str:
    """Return the prefix of a service's IAM actions."""
    name = _service(service).signing_name
    return _PREFIXES.get(name, name)


def operations(service: str, method: str) -> list[Operation]:
    """Return the operations that a client's method calls; a paginator is `get_paginator:name`, a waiter alike.

    Raises UnknownCallError when botocore's model has none.
    """
    kind, _, name = method.rpartition(":")
    if service == "s3" and method in TRANSFERS:
        names = list(TRANSFERS[method][1])
    elif kind == "get_waiter":
        waiters = WaiterModel(_loader().load_service_model(service, "waiters-2"))
        by_method = {xform_name(item): item for item in waiters.waiter_names}
        if name not in by_method:
            raise UnknownCallError(f"{service} has no waiter {name}")
        names = [waiters.get_waiter(by_method[name]).operation]
    elif name in _methods(service):
        names = [_methods(service)[name]]
    else:
        raise UnknownCallError(f"botocore's client of {service} has no method {name}")
    return [Operation(prefix_of(service), item) for item in names]
