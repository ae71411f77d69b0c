"""Would AWS take this request? botocore's model, held to strictly, and rules that are documented but not modelled."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting import component_rules as components
from laptop.sagemaker.hosting import rules as hosting
from laptop.sagemaker.jobs import rules as jobs
from laptop.sagemaker.validation import shape_errors

Request = Mapping[str, Any]
#: Step Functions (API reference, StartExecution) refuses these in names; the model knows lengths only.
_NOT_IN_NAMES: Final = ' <>{}[]?*"#%\\^|~`$&,;:/'
#: ECS (RunTask, clientToken) and CodeBuild (StartBuild, idempotencyToken): up to 64 characters, ASCII 33 to 126.
_TOKENS: Final = {("ecs", "RunTask"): "clientToken", ("codebuild", "StartBuild"): "idempotencyToken"}
_TOKEN_LENGTH: Final = 64
#: Step Functions' quota for a state's input or result, and for StartExecution's `input`.
MAX_PAYLOAD: Final = 262_144
_MAX_TAGS: Final = 50
_TAG_SIGNS: Final = "_.:/=+-@"


class NoSuchOperationError(Exception):
    """botocore's model knows no such service or operation."""


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        raise NoSuchOperationError(f"botocore knows no service {service!r}")
    return session.get_service_model(service)


def operation_model(service: str, operation: str) -> OperationModel:
    """Return botocore's model of an operation."""
    if operation not in service_model(service).operation_names:
        raise NoSuchOperationError(f"{service} has no operation {operation!r}")
    return service_model(service).operation_model(operation)


def problems(
    service: str, operation: str, request: Request, *, models: Mapping[str, Request] | None = None
) -> list[str]:
    """Return why AWS would refuse a request, in words; nothing when it would take it.

    `models`: the CreateModel requests by name that an endpoint configuration may name.
    """
    shape = operation_model(service, operation).input_shape
    if shape is None:
        return [f"{operation} takes no parameters"] if request else []
    report = ParamValidator().validate(dict(request), shape)
    found = [str(report.generate_report())] if report.has_errors() else []
    found += shape_errors(shape, request)
    if not found:  # the rules read members that the model requires
        found += [*_tags(request), *_rules(service, operation, request, models or {})]
    return found


def _rules(service: str, operation: str, request: Request, models: Mapping[str, Request]) -> Iterator[str]:
    if service == "sagemaker":
        yield from _sagemaker(operation, request, models)
    if (service, operation) == ("stepfunctions", "StartExecution"):
        bad = sorted({sign for sign in request.get("name", "") if sign in _NOT_IN_NAMES or ord(sign) < 32})
        if bad:
            yield f"name: {''.join(bad)!r} must not be in the name of an execution"
        if len(request.get("input", "").encode()) > MAX_PAYLOAD:
            yield f"input: more than {MAX_PAYLOAD} bytes"
    token = request.get(_TOKENS.get((service, operation), ""), "")
    if len(token) > _TOKEN_LENGTH or any(not 33 <= ord(sign) <= 126 for sign in token):
        yield f"{_TOKENS[service, operation]}: {token!r} is not of at most {_TOKEN_LENGTH} visible ASCII characters"


def _sagemaker(operation: str, request: Request, models: Mapping[str, Request]) -> Iterator[str]:
    try:
        if operation == "CreateTrainingJob":
            jobs.check_training(request)
        elif operation == "CreateProcessingJob":
            jobs.check_processing(request)
        elif operation == "CreateModel":
            hosting.check_model(request)
        elif operation in ("CreateInferenceComponent", "UpdateInferenceComponent"):
            components.check_specification(request["Specification"])
            components.check_copies(request["RuntimeConfig"]["CopyCount"])
        elif operation == "CreateEndpointConfig":
            hosting.check_endpoint_config(request, models)
    except SageMakerError as error:
        yield str(error)


def _tags(request: Request) -> Iterator[str]:
    """AWS's rules for tags ("Tagging your AWS resources"); the models write them as patterns that are Java's."""
    given = request.get("Tags", request.get("tags", ()))
    if not isinstance(given, list | tuple):
        return
    pairs = [(str(tag.get("Key", tag.get("key"))), str(tag.get("Value", tag.get("value", "")))) for tag in given]
    if len(pairs) > _MAX_TAGS:
        yield f"Tags: {len(pairs)} tags, at most {_MAX_TAGS} are allowed"
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            yield f"Tags: {name} is given twice"
        if name.lower().startswith("aws:"):
            yield f"Tags: {name}: names that begin with aws: are AWS's own"
    for name, value in pairs:
        bad = {sign for sign in name + value if sign not in _TAG_SIGNS and unicodedata.category(sign)[0] not in "LZN"}
        if bad:
            yield f"Tags: {name}={value!r}: {''.join(sorted(bad))!r} is not allowed in tags"
