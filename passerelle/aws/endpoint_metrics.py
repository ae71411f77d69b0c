"""What CloudWatch knows of an endpoint's variants (developer guide, "Monitor Amazon SageMaker with CloudWatch")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.contracts.experiment import Estimate, LatencySeen, VariantSeen
from passerelle.domain.experiment.ranks import QUANTILES, quantile_bounds

_MARGIN: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A variant in one configuration of its endpoint, since a moment."""

    endpoint: str
    variant: str
    config: str
    since: datetime


def count_of(watched: Watched) -> VariantSeen:
    """Return a variant's requests, and how many of them failed."""
    found = _ask(watched, {"requests": ("Invocations", "Sum"), "errors": ("Invocation5XXErrors", "Sum")})
    return VariantSeen(requests=round(sum(found["requests"])), errors=round(sum(found["errors"])))


def latency_of(watched: Watched) -> tuple[LatencySeen, ...]:
    """Return quantiles of the time that a variant's containers took, with intervals; nothing without an answer."""
    counted = _ask(watched, {"answers": ("ModelLatency", "SampleCount")})["answers"]
    if not counted or max(counted) < 1:
        return ()
    # A period may come in two parts, by where CloudWatch lets periods begin: the larger one tells.
    part = counted.index(max(counted))
    wanted = {share: (share, *quantile_bounds(round(counted[part]), share)) for share in QUANTILES}
    names = {f"q{100 * one:.8g}".replace(".", "_"): one for trio in wanted.values() for one in trio if one}
    found = _ask(watched, {name: ("ModelLatency", f"p{100 * one:.8g}") for name, one in names.items()})
    milliseconds = {one: found[name][part] / 1_000 for name, one in names.items() if len(found[name]) > part}
    return tuple(
        LatencySeen(
            share=share,
            found=Estimate(
                value=milliseconds[share], lower=_known(milliseconds, lower), upper=_known(milliseconds, upper)
            ),
        )
        for share, (_, lower, upper) in wanted.items()
        if share in milliseconds
    )


def _ask(watched: Watched, queries: Mapping[str, tuple[str, str]]) -> dict[str, list[float]]:
    """Return values by query, oldest first. Latencies are in microseconds."""
    start, end = watched.since - _MARGIN, datetime.now(UTC) + _MARGIN
    period = -(-int((end - start).total_seconds()) // 60) * 60
    found: dict[str, list[float]] = {name: [] for name in queries}
    with translated(f"metrics of endpoint {watched.endpoint}"):
        pages = (
            client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(
                MetricDataQueries=[_query(watched, name, *what, period) for name, what in queries.items()],
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampAscending",
            )
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                found[result["Id"]] += result["Values"]
    return found


def _query(watched: Watched, name: str, metric: str, statistic: str, period: int) -> dict[str, Any]:
    dimensions = {
        "EndpointName": watched.endpoint, "VariantName": watched.variant, "EndpointConfigName": watched.config
    }  # fmt: skip
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": named},
            "Period": period,
            "Stat": statistic,
        },
    }


def _known(milliseconds: Mapping[float, float], share: float | None) -> float | None:
    return None if share is None else milliseconds.get(share)
