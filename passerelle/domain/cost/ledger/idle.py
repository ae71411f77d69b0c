"""Endpoints that nobody asks, and what that wastes: the rule of cost.md 3.6 over the ledger's own lines.

Zero requests in a fortnight is idle, less than one an instance-hour is underused. No data is not zero; an endpoint
that is younger than 80 % of the fortnight is too new; what has no instance costs nothing and is not idle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from passerelle.contracts.ledger import Charge

WINDOW_DAYS: Final = 14
LEAST_SHARE: Final = 0.8
LEAST_REQUESTS_PER_HOUR: Final = 1.0
_MONTH_DAYS: Final = 730 / 24

Use = Literal["idle", "underused", "used", "too new", "no data", "asleep"]


@dataclass(frozen=True)
class Idleness:
    """How a variant was used; `usd_per_month` is what it costs a month as it is, None when a price is missing."""

    resource: str
    project: str
    use: Use
    requests: float | None
    instance_hours: float
    usd_per_month: float | None

    @property
    def wasted(self) -> bool:
        """Whether its cost is a waste."""
        return self.use in ("idle", "underused")


def idle_endpoints(charges: Iterable[Charge], last: date) -> list[Idleness]:
    """Return how each variant with instances was used in the fortnight that ends with a day, the dearest waste first.

    `charges` are at least those of the fortnight. Serverless variants are no part of it: unasked, they cost nothing.
    """
    first = last - timedelta(days=WINDOW_DAYS - 1)
    days = [one for one in charges if one.stage == "serve" and str(first) <= one.day <= str(last)]
    variants: dict[str, list[Charge]] = {}
    for line in days:
        if line.unit in ("instance-hour", "GB-month"):
            variants.setdefault(line.resource_id, []).append(line)
    found = [_judged(lines) for lines in variants.values()]
    return sorted(found, key=lambda one: (not one.wasted, -(one.usd_per_month or 0.0), one.resource))


def idle_usd(found: Iterable[Idleness]) -> tuple[float, int]:
    """Return what idle and underused endpoints cost a month, and how many of them have no price: then it is a floor."""
    wasted = [one for one in found if one.wasted]
    known = [one.usd_per_month for one in wasted if one.usd_per_month is not None]
    return sum(known), len(wasted) - len(known)


def _judged(lines: Sequence[Charge]) -> Idleness:
    hours = sum(one.quantity or 0.0 for one in lines if one.unit == "instance-hour")
    days = len({one.day for one in lines})
    counts = [one.requests for one in lines if one.requests is not None]
    asked = sum(counts) if counts else None
    known = [one.usd for one in lines if one.usd is not None]
    usd = sum(known) / days * _MONTH_DAYS if len(known) == len(lines) else None
    use = _use(days, hours, asked)
    return Idleness(lines[0].resource_name, lines[0].project, use, asked, hours, usd)


def _use(days: int, hours: float, asked: float | None) -> Use:
    if hours == 0:
        return "asleep"
    if days < LEAST_SHARE * WINDOW_DAYS:
        return "too new"
    if asked is None:
        return "no data"
    if asked == 0:
        return "idle"
    return "underused" if asked / hours < LEAST_REQUESTS_PER_HOUR else "used"
