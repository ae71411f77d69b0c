"""What InvokeEndpoint takes and gives: its headers, its limits, its errors (sagemaker-runtime's service model)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting.connections import ContainerAnswer
from laptop.settings import LaptopSettings

#: InvokeEndpoint: Body, both ways. Serverless endpoints take and give 4 MB.
MAX_BYTES: Final = 6_291_456
MAX_SERVERLESS_BYTES: Final = 4_194_304
_PREFIX: Final = "x-amzn-sagemaker-"
TARGET_VARIANT: Final = f"{_PREFIX}target-variant"
INFERENCE_ID: Final = f"{_PREFIX}inference-id"
COMPONENT: Final = f"{_PREFIX}inference-component"
#: What the runtime answers when an inference component is needed, and when it has no copy (scaled in to zero).
COMPONENT_MISSING: Final = (
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. "
    "Please include Inference Component Name header or consider using SageMaker models."
)
NO_CAPACITY: Final = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if "
    "configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
_FORWARDED: Final = ("custom-attributes", "target-variant", "inference-id", "enable-explanations", "session-id",
                     "prefix-aware-id")  # fmt: skip
#: Members of InvokeEndpoint that ask for what no endpoint of the laptop is.
_NOT_OFFERED: Final = {
    "target-model": "is no multi-model endpoint",
    "target-container-hostname": "has no containers for direct invocation",
}
_PATTERNS: Final = {
    "content-type": ("contentType", re.compile(r"[\x20-\x7e]{0,1024}")),
    "accept": ("accept", re.compile(r"[\x20-\x7e]{0,1024}")),
    f"{_PREFIX}accept": ("accept", re.compile(r"[\x20-\x7e]{0,1024}")),
    f"{_PREFIX}custom-attributes": ("customAttributes", re.compile(r"[\x20-\x7e]{0,1024}")),
    INFERENCE_ID: ("inferenceId", re.compile(r"[\x21-\x7e][\x20-\x7e]{0,63}")),
    TARGET_VARIANT: ("targetVariant", re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")),
    COMPONENT: ("inferenceComponentName", re.compile(r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?")),
    f"{_PREFIX}enable-explanations": ("enableExplanations", re.compile(r"[\x20-\x7e]{1,64}")),
    f"{_PREFIX}session-id": ("sessionId", re.compile(r"NEW_SESSION|[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}")),
    f"{_PREFIX}prefix-aware-id": ("prefixAwareId", re.compile(r"[\x21-\x7e][\x20-\x7e]{0,63}")),
}


@dataclass(frozen=True)
class Invocation:
    """The answer to a caller."""

    headers: Mapping[str, str]
    body: bytes


def invalid_call(message: str) -> SageMakerError:
    """The runtime's word for a request that breaks a rule."""
    return SageMakerError("ValidationError", message)


def check_call(endpoint: str, headers: Mapping[str, str], body: bytes, *, serverless: bool) -> None:
    """Raise ValidationError for a request that InvokeEndpoint does not take."""
    limit = MAX_SERVERLESS_BYTES if serverless else MAX_BYTES
    if len(body) > limit:
        raise invalid_call(f"Request {uuid.uuid4()} has oversize body: {len(body)} bytes; at most {limit} are allowed.")
    for name, (member, pattern) in _PATTERNS.items():
        if name in headers and pattern.fullmatch(headers[name]) is None:
            raise invalid_call(
                f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must satisfy "
                f"regular expression pattern: {pattern.pattern}"
            )
    for name, reason in _NOT_OFFERED.items():
        if f"{_PREFIX}{name}" in headers:
            raise invalid_call(f"Endpoint {endpoint} {reason}; the request must not have the header {_PREFIX}{name}")


def check_answer(answer: ContainerAnswer, *, serverless: bool) -> str | None:
    """Return why an answer cannot be passed on, None when it can."""
    limit = MAX_SERVERLESS_BYTES if serverless else MAX_BYTES
    if len(answer.body) > limit:
        return f"The response has {len(answer.body)} bytes; at most {limit} are allowed."
    return None


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that reach the container: all others are stripped."""
    kept = {"Content-Type": headers.get("content-type", "application/octet-stream")}
    accept = headers.get(f"{_PREFIX}accept") or headers.get("accept")
    if accept:
        kept["Accept"] = accept
    for name in _FORWARDED:
        if f"{_PREFIX}{name}" in headers:
            kept[f"X-Amzn-SageMaker-{name.title()}"] = headers[f"{_PREFIX}{name}"]
    return kept


def answered(answer: ContainerAnswer, variant: str) -> Invocation:
    """Return a container's answer as the caller gets it."""
    headers = {
        "content-type": answer.headers.get("content-type", "application/octet-stream"),
        "x-amzn-invoked-production-variant": variant,
    }
    for name in ("custom-attributes", "new-session-id", "closed-session-id"):
        if f"{_PREFIX}{name}" in answer.headers:
            headers[f"{_PREFIX}{name}"] = answer.headers[f"{_PREFIX}{name}"]
    return Invocation(headers, answer.body)


def log_group(endpoint: str) -> str:
    """Return the log group of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def component_log_group(component: str) -> str:
    """Return the log group of an inference component's copies."""
    return f"/aws/sagemaker/InferenceComponents/{component}"


def model_error(settings: LaptopSettings, group: str, status: int, text: str) -> SageMakerError:
    """ModelError: the container answered no 2xx, or (0) not in time."""
    region, account = settings.region, settings.account_id
    stream = f"arn:aws:logs:{region}:{account}:log-group:{group}"
    kind = "client" if 400 <= status < 500 else "server"
    return SageMakerError(
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{text[:2000]}". See {stream} '
        f"in account {account} for more information.",
        status=424,
        members={"OriginalStatusCode": status, "OriginalMessage": text, "LogStreamArn": stream},
    )
