"""boto3 clients of the functions, made once per process, and the mapping of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from passerelle.errors import NotFoundError, TransientError

_CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=70)
#: Codes that a later try may cure (botocore's standard retry mode, and the services' own).
TRANSIENT_CODES: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ResourceLimitExceeded",
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
MISSING_CODES: Final = frozenset({"ParameterNotFound", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"})


@cache
def client(service: str) -> Any:
    """Return the process's client of a service."""
    return boto3.client(service, config=_CONFIG)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn botocore's errors into ours: TransientError for what a retry may cure, NotFoundError for what is missing."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in TRANSIENT_CODES:
            raise TransientError(f"{what}: {error}") from error
        if code in MISSING_CODES:
            raise NotFoundError(f"{what}: {error}") from error
        raise
    except BotoCoreError as error:
        raise TransientError(f"{what}: AWS does not answer: {error}") from error
