"""What the local SageMaker needs from the rest of the embedded AWS: an object store, logs, events and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


class RefusedError(Exception):
    """IAM does not allow it; the text says who may not do what."""


@dataclass(frozen=True, kw_only=True)
class MetricDatum:
    """One CloudWatch value, seen `count` times; latencies are in microseconds as SageMaker emits them."""

    name: str
    value: float
    unit: str
    count: int = 1
    dimensions: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "AWS/SageMaker"


class Surroundings(Protocol):
    """The sides of AWS that SageMaker writes to. MiniStack implements it in `laptop.ministack.surroundings`.

    All methods may be called from any thread and, but for `s3` and `credentials`, never raise.
    """

    def s3(self, role: str) -> Any:
        """Return a boto3 S3 client for the embedded AWS that acts with a role (real HTTP; thread-safe).

        Raises RefusedError when SageMaker may not take it on.
        """

    def credentials(self, role: str) -> Mapping[str, str]:
        """Return what a container needs to reach the embedded AWS with a role, as environment variables.

        Raises RefusedError when SageMaker may not take it on.
        """

    def put_log_lines(self, group: str, stream: str, lines: Sequence[tuple[datetime, str]]) -> None:
        """Append lines to a CloudWatch Logs stream, creating group and stream when missing."""

    def put_event(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        """Put one event with source aws.sagemaker on the default bus."""

    def put_metrics(self, data: Sequence[MetricDatum]) -> None:
        """Put metric values."""

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the state (OK, ALARM, INSUFFICIENT_DATA) of those of these CloudWatch alarms that exist."""

    def alarm_breach(self, action: str) -> float | None:
        """Return how far the metric of an alarm that is in ALARM, and has this action, is from its threshold."""

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str, seconds: float
    ) -> float | None:
        """Return a metric's statistic over the last seconds; None without data."""
