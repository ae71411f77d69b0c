"""The MLflow server: how its client is set, what its errors mean, and what must never reach it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from passerelle.errors import TransientError

#: A dead server must fail the step soon, so that Step Functions retries it: MLflow's own patience is minutes.
_CLIENT_SETTINGS: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
#: MLflow's names of errors that a later try may cure; INTERNAL_ERROR is also said of a server that does not answer.
_TRANSIENT: Final = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR")
_TRANSIENT_STATUSES: Final = (408, 429)
_SECRETS: Final = (
    (re.compile(r"(\w://)[^/\s@]+@"), r"\1"),  # user and password of an address
    (re.compile(r"(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+", re.IGNORECASE), r"\1***"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "***"),
    (re.compile(r"((?:password|passwd|secret|token)\w*\s*[=:]\s*)[^\s,;&]+", re.IGNORECASE), r"\1***"),
)
FoundT = TypeVar("FoundT")


def connect(uri: str) -> Any:
    """Return MLflow's client of a server."""
    for name, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def without_secrets(text: str) -> str:
    """Return a text as it may be shown: everyone who may open MLflow or a run's record reads it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn "MLflow does not answer" into TransientError; a request that MLflow refuses stays what it is."""
    import requests
    from mlflow.exceptions import MlflowException

    where = f"MLflow at {without_secrets(uri)}"
    try:
        yield
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else 503
        if status < 500 and status not in _TRANSIENT_STATUSES:
            raise
        raise TransientError(f"{where} answers with {status}: {without_secrets(str(error))[:500]}") from error
    except requests.exceptions.RequestException as error:
        raise TransientError(f"{where} does not answer: {without_secrets(str(error))[:500]}") from error
    except MlflowException as error:
        if error.error_code not in _TRANSIENT:
            raise
        raise TransientError(f"{where} does not answer: {without_secrets(str(error))[:500]}") from error


def keep_first(found: Sequence[FoundT], delete: Callable[[FoundT], object]) -> FoundT | None:
    """Return the first of things that should be one, and delete the others.

    A request that creates something and whose answer is lost is sent again, by MLflow's client or by the next try: then
    there are two.
    """
    for extra in found[1:]:
        delete(extra)
    return found[0] if found else None
