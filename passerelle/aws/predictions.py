"""Asking an endpoint for predictions, whether or not it scales to zero, and what its errors mean to a person."""

from __future__ import annotations

import json
from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.errors import InputError, NotFoundError, TransientError

#: How SageMaker says that a component has no copy, and that an endpoint wants to hear which component is meant.
NO_CAPACITY: Final = "has no capacity to process this request"
NAME_REQUIRED: Final = "Inference Component Name header is required"


def predict(
    runtime: Any,
    body: bytes,
    *,
    endpoint: str,
    component: str,
    content_type: str,
    accept: str,
    explain: bool = False,
) -> bytes:
    """Return an endpoint's answer, with `explain` also what its columns did; `component` holds the model where it
    scales to zero.

    Raises InputError with the container's own message for a bad row, TransientError while the endpoint sleeps.
    """
    request = {"EndpointName": endpoint, "Body": body, "ContentType": content_type, "Accept": accept}
    request |= {"CustomAttributes": "explain=true"} if explain else {}
    try:
        try:
            answer = runtime.invoke_endpoint(**request)
        except ClientError as error:
            if NAME_REQUIRED not in str(error):
                raise
            answer = runtime.invoke_endpoint(**request, InferenceComponentName=component)
        return bytes(answer["Body"].read())
    except ClientError as error:
        raise _prediction_error(error, endpoint) from error


def _prediction_error(error: ClientError, endpoint: str) -> Exception:
    code, response = error.response["Error"]["Code"], error.response
    if code == "ModelError" and 400 <= int(str(response.get("OriginalStatusCode", 500))) < 500:
        return InputError(f"The model refused the request: {_refusal(response.get('OriginalMessage'), error)}")
    if NO_CAPACITY in str(error):
        return TransientError(
            f"Endpoint {endpoint} is asleep: nobody asked it for a while, and its project lets it scale to zero. This "
            "request wakes it; ask again in some minutes. Callers that cannot wait need serving.autoscaling.min: 1."
        )
    if "Could not find" in str(error) or "not found" in str(error):
        return NotFoundError(f"No endpoint {endpoint}: no model is served yet. Drop data first: `passerelle drop`.")
    if code in ("ServiceUnavailable", "ModelError", "ModelNotReadyException", "ThrottlingException"):
        return TransientError(f"Endpoint {endpoint} could not answer: {error}. Try again; `passerelle logs` shows why.")
    return InputError(f"Endpoint {endpoint} refused the request: {error}")


def _refusal(original: object, error: ClientError) -> str:
    """Return what the server says for people: its message, where it concerns, and the remedy."""
    try:
        told = json.loads(str(original))["error"]
        place = "".join(f", {name} {told[name]}" for name in ("row", "field") if name in told)
        return f"{told['message']}{place}. {told['remedy']}"
    except (ValueError, KeyError, TypeError):
        return str(original or error)
