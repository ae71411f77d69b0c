"""What CloudWatch knows of an endpoint's variants (developer guide, "Monitor Amazon SageMaker with CloudWatch")."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.domain.shadow_verdict import Load

_PERIOD: Final = 3_600
#: Query -> metric and statistic. Latencies are in microseconds.
_QUERIES: Final = {
    "requests": ("Invocations", "Sum"),
    "errors": ("Invocation5XXErrors", "Sum"),
    "latency": ("ModelLatency", "p99"),
}


def load_of(endpoint: str, variant: str, config: str, *, seconds: int) -> Load:
    """Return what a variant stood in the last `seconds`, with one configuration; p99 is that of the worst hour."""
    now = datetime.now(UTC)
    dimensions = {"EndpointName": endpoint, "VariantName": variant, "EndpointConfigName": config}
    with translated(f"metrics of endpoint {endpoint}"):
        pages = (
            client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=[_query(name, *what, dimensions) for name, what in _QUERIES.items()],
                StartTime=now - timedelta(seconds=seconds + _PERIOD),
                EndTime=now + timedelta(seconds=_PERIOD),
            )
        )
        found: dict[str, list[float]] = {name: [] for name in _QUERIES}
        for page in pages:
            for result in page["MetricDataResults"]:
                found[result["Id"]] += result["Values"]
    slowest = max(found["latency"], default=None)
    return Load(
        requests=sum(found["requests"]),
        errors=sum(found["errors"]),
        p99_ms=None if slowest is None else slowest / 1_000,
    )


def _query(name: str, metric: str, statistic: str, dimensions: dict[str, str]) -> dict[str, Any]:
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": named},
            "Period": _PERIOD,
            "Stat": statistic,
        },
    }
