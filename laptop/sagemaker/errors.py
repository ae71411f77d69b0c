"""SageMaker's own errors, as its API answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passerelle.errors import PasserelleError


class SageMakerError(PasserelleError):
    """An API error: its wire code, message, HTTP status and further members."""

    def __init__(self, code: str, message: str, *, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, dict(members or {})


def invalid(message: str) -> SageMakerError:
    """A request that breaks a rule, or names what does not exist (SageMaker answers both alike)."""
    return SageMakerError("ValidationException", message)


def in_use(message: str) -> SageMakerError:
    """A name that is taken."""
    return SageMakerError("ResourceInUse", message)


def not_found(message: str) -> SageMakerError:
    """A job that does not exist."""
    return SageMakerError("ResourceNotFound", message)


def limit_exceeded(message: str) -> SageMakerError:
    """More than an account may have."""
    return SageMakerError("ResourceLimitExceeded", message)
