"""boto3 clients of the functions, made once per process, and the mapping of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from passerelle.errors import NotFoundError, SettingsError, TransientError

_CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=70)
#: Codes that a later try may cure (botocore's standard retry mode, and the services' own).
TRANSIENT_CODES: Final = frozenset(
    {
        "InternalDependencyException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ModelNotReadyException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
#: What services say of something that was deleted since it was listed; SageMaker says "ValidationException" of that.
_GONE_CODES: Final = frozenset(
    {"ExecutionDoesNotExist", "ResourceNotFound", "ResourceNotFoundException", "ValidationException"}
)
#: An account's quota is reached. Trying again in vain for an hour would only hide what somebody must do.
QUOTA_CODES: Final = frozenset({"LimitExceededException", "ResourceLimitExceeded", "ServiceQuotaExceededException"})
MISSING_CODES: Final = frozenset({"ParameterNotFound", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"})

QUOTA_REMEDY: Final = (
    "Ask for more in Service Quotas (AWS console), or end what uses it now, or choose another instance type."
)


@cache
def client(service: str) -> Any:
    """Return the process's client of a service."""
    return boto3.client(service, config=_CONFIG)


def is_transient(error: ClientError) -> bool:
    """Return whether a later try may cure an error. Where it has no name (HEAD has no body), its HTTP status tells."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return error.response["Error"]["Code"] in TRANSIENT_CODES or status in (429, 500, 502, 503, 504)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn botocore's errors into ours.

    TransientError for what a retry may cure, NotFoundError for what is missing, SettingsError for a quota.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if is_transient(error):
            raise TransientError(f"{what}: {error}") from error
        if code in MISSING_CODES:
            raise NotFoundError(f"{what}: {error}") from error
        if code in QUOTA_CODES:
            raise SettingsError(f"{what}: {error} {QUOTA_REMEDY}") from error
        raise
    except BotoCoreError as error:
        raise TransientError(f"{what}: AWS does not answer: {error}") from error


@contextmanager
def still_there(what: str) -> Iterator[None]:
    """Turn botocore's errors into ours as `translated` does; NotFoundError also for what was listed and is gone."""
    try:
        with translated(what):
            yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE_CODES:
            raise
        raise NotFoundError(f"{what} is gone: {error}") from error
