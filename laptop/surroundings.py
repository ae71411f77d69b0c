"""What the local SageMaker needs from the rest of the embedded AWS: an object store, logs, events and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


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

    All methods may be called from any thread and never raise for a full or slow receiver.
    """

    def s3(self) -> Any:
        """Return a boto3 S3 client for the embedded AWS (real HTTP; thread-safe)."""

    def put_log_lines(self, group: str, stream: str, lines: Sequence[tuple[datetime, str]]) -> None:
        """Append lines to a CloudWatch Logs stream, creating group and stream when missing."""

    def put_event(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        """Put one event with source aws.sagemaker on the default bus."""

    def put_metrics(self, data: Sequence[MetricDatum]) -> None:
        """Put metric values."""

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the state (OK, ALARM, INSUFFICIENT_DATA) of those of these CloudWatch alarms that exist."""
