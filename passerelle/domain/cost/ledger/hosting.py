"""Lines of a day of an endpoint: hours of instances by variant, or the work of a serverless one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from passerelle.contracts.ledger import Charge
from passerelle.domain.cost.ledger.used import Amount, Owner, Used
from passerelle.domain.cost.rates import instance_rate, serverless_rate, volume_rate, warm_rate

HOSTING: Final = "SageMaker Hosting"
_MONTH_HOURS: Final = 730.0
_SECONDS_PER_HOUR: Final = 3600.0
#: "Setting desired instance count to 2." and "... copy count to 0." (Application Auto Scaling user guide, "Scaling
#: activities").
_COUNT: Final = re.compile(r"count to (\d+)")


@dataclass(frozen=True)
class Change:
    """When a variant's instances became how many."""

    at: datetime
    count: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What CloudWatch counted of a variant; None where it has no data, which is not zero.

    `work_seconds` is ModelLatency in all.
    """

    requests: float | None
    work_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of an endpoint within a day, or the part of it since it exists.

    Attributes
    ----------
    now : its description in DescribeEndpoint; configured : the same in DescribeEndpointConfig.
    changes : of the number of its instances, the oldest first, of any time that is known.
    """

    owner: Owner
    endpoint_arn: str
    endpoint: str
    name: str
    now: Mapping[str, Any]
    configured: Mapping[str, Any]
    start: datetime
    end: datetime
    changes: Sequence[Change]
    asked: Asked


def changes_of(activities: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return what scaling activities that succeeded say of a variant's instances, the oldest first."""
    found = []
    for activity in activities:
        told = _COUNT.search(str(activity.get("Description", "")))
        if told and activity.get("StatusCode") == "Successful":
            found.append(Change(activity.get("EndTime") or activity["StartTime"], int(told[1])))
    return sorted(found, key=lambda change: change.at)


def instance_hours(start: datetime, end: datetime, *, begin: int, changes: Sequence[Change]) -> float:
    """Return instance-hours between two moments; `begin` instances were there before the first change.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    >>> instance_hours(noon.replace(hour=0), noon.replace(hour=18), begin=1, changes=[Change(noon, 3)])
    30.0
    """
    seconds, moment, count = 0.0, start, begin
    for change in changes:
        if change.at <= start:
            count = change.count
        elif change.at < end:
            seconds += count * (change.at - moment).total_seconds()
            moment, count = change.at, change.count
    return (seconds + count * max(0.0, (end - moment).total_seconds())) / _SECONDS_PER_HOUR


def endpoint_charges(variant: Variant, region: str) -> tuple[Charge, ...]:
    """Return the lines of a variant.

    Raises KeyError for a variant that has neither instances nor serverless memory.
    """
    used = Used(
        owner=variant.owner,
        stage="serve",
        resource_type="endpoint",
        resource_id=f"{variant.endpoint_arn}/{variant.name}",
        resource_name=f"{variant.endpoint}/{variant.name}",
        start=variant.start,
        end=variant.end,
        day=f"{variant.start:%Y-%m-%d}",
    )
    serverless = variant.now.get("CurrentServerlessConfig") or variant.configured.get("ServerlessConfig")
    lines = _serverless(used, serverless, variant, region) if serverless else _instances(used, variant, region)
    return tuple(lines)


def _instances(used: Used, variant: Variant, region: str) -> Iterator[Charge]:
    instance = variant.configured["InstanceType"]
    hours = instance_hours(used.start, used.end, begin=_count_before(variant), changes=variant.changes)
    scaled = any(used.start < change.at < used.end for change in variant.changes)
    counted = "counted by its scaling activities" if scaled else "of the instances that it had"
    told = "" if variant.asked.requests is not None else "; CloudWatch has no count of its requests"
    basis = f"{hours:,.2f} instance-hours, {counted}{told}"
    amount = Amount(quantity=hours, requests=variant.asked.requests, basis=basis)
    yield used.charge(instance_rate(HOSTING, instance, region), amount)
    size = variant.configured.get("VolumeSizeInGB")
    if size:
        quantity = float(size) * hours / _MONTH_HOURS
        yield used.charge(volume_rate(HOSTING, region), Amount(quantity=quantity, basis=f"{size} GB, {basis}"))


def _count_before(variant: Variant) -> int:
    """Return how many instances there were before the first change that is known: those of now, where none changed."""
    if variant.changes:
        return int(variant.configured.get("InitialInstanceCount", variant.changes[0].count))
    return int(variant.now.get("CurrentInstanceCount", variant.configured.get("InitialInstanceCount", 1)))


def _serverless(used: Used, config: Mapping[str, Any], variant: Variant, region: str) -> Iterator[Charge]:
    memory, asked = int(config["MemorySizeInMB"]), variant.asked
    basis = f"the time that its containers took for {asked.requests or 0:,.0f} requests (CloudWatch, ModelLatency)"
    if asked.work_seconds is None:
        basis = "CloudWatch has no time of its containers: nobody asked it, or nobody knows"
    # No request, no datapoint: what nobody asked works for nobody.
    seconds = 0.0 if asked.work_seconds is None else math.ceil(asked.work_seconds * 1_000) / 1_000
    amount = Amount(quantity=seconds, requests=asked.requests, basis=basis)
    yield used.charge(serverless_rate(memory, region), amount)
    warm = int(config.get("ProvisionedConcurrency") or 0)
    if warm:
        kept = warm * (used.end - used.start).total_seconds()
        yield used.charge(warm_rate(memory, region), Amount(quantity=kept, basis=f"{warm} environments kept warm"))
