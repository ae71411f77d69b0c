"""What lines add up to: totals as floors, groups, the cost of a run, an experiment, a thousand requests, spot's saving.

A line without a price is counted and never taken for zero: a sum with such a line is a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from passerelle.contracts.ledger import Charge

#: What a run's model cost until it was registered; its endpoint and batches serve, and are no part of this.
_RUN_STAGES: Final = ("prepare", "tune", "train", "evaluate", "judge", "pipeline")
_SERVING: Final = ("serve", "batch")
#: What lines can be grouped by, and how. A line that has none of it is in the group "".
GROUPS: Final[Mapping[str, Callable[[Charge], str]]] = {
    "stage": lambda charge: charge.stage,
    "run": lambda charge: charge.run_id,
    "model": lambda charge: charge.model_version,
    "service": lambda charge: charge.service,
    "day": lambda charge: charge.day,
    "experiment": lambda charge: charge.experiment,
    "resource": lambda charge: charge.resource_name,
}


@dataclass(frozen=True)
class Sum:
    """USD of the lines whose price and quantity are known, and how many others there are."""

    usd: float
    unknown: int
    lines: int

    @property
    def complete(self) -> bool:
        """Whether the sum is the whole, and no floor."""
        return self.unknown == 0


@dataclass(frozen=True)
class Spot:
    """What managed spot cost, and what its jobs would have cost without it; of jobs for which both are known."""

    usd: float
    on_demand_usd: float
    jobs: int
    unknown: int

    @property
    def saved_usd(self) -> float:
        return self.on_demand_usd - self.usd

    @property
    def share(self) -> float | None:
        """What share was saved, 0 to 1; None without any spot."""
        return self.saved_usd / self.on_demand_usd if self.on_demand_usd else None


def total(charges: Iterable[Charge]) -> Sum:
    """Return what lines add up to.

    >>> total([])
    Sum(usd=0, unknown=0, lines=0)
    """
    found = list(charges)
    known = [charge.usd for charge in found if charge.usd is not None]
    return Sum(sum(known), len(found) - len(known), len(found))


def grouped(charges: Iterable[Charge], by: str) -> dict[str, Sum]:
    """Return sums by one of GROUPS, the dearest first; of days, the first first."""
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(GROUPS[by](charge), []).append(charge)
    sums = {name: total(lines) for name, lines in groups.items()}
    order = sorted(sums) if by == "day" else sorted(sums, key=lambda name: (-sums[name].usd, name))
    return {name: sums[name] for name in order}


def training_runs(charges: Iterable[Charge]) -> dict[str, Sum]:
    """Return by run what it cost to make its model, the dearest first."""
    return grouped((one for one in charges if one.run_id and one.stage in _RUN_STAGES), "run")


def experiments(charges: Iterable[Charge]) -> dict[str, Sum]:
    """Return by A/B test or tuning job what it cost, the dearest first."""
    return grouped((one for one in charges if one.experiment), "experiment")


def per_thousand_requests(charges: Iterable[Charge]) -> float | None:
    """Return USD of a thousand requests: what serving cost over what was asked.

    Only lines with a count of requests are taken, with the rest of what the same resource cost at that time; None when
    nothing was asked, nobody knows, or a price is missing.
    """
    serving = [charge for charge in charges if charge.stage in _SERVING]
    counted = {(one.resource_id, one.charge_start) for one in serving if one.requests is not None}
    lines = [one for one in serving if (one.resource_id, one.charge_start) in counted]
    asked, cost = sum(one.requests or 0 for one in lines), total(lines)
    return 1_000 * cost.usd / asked if asked and cost.complete else None


def spot(charges: Iterable[Charge]) -> Spot:
    """Return what spot saved: on-demand cost of the time that was trained, less the cost of the billable time."""
    lines = [charge for charge in charges if charge.pricing_category == "Dynamic"]
    known = [(one.usd, one.on_demand_usd) for one in lines if one.usd is not None and one.on_demand_usd is not None]
    return Spot(sum(usd for usd, _ in known), sum(full for _, full in known), len(known), len(lines) - len(known))


def within(charges: Iterable[Charge], start: str, end: str) -> list[Charge]:
    """Return the lines that were used between two moments (ISO 8601), at least in part."""
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    return [
        one
        for one in charges
        if datetime.fromisoformat(one.charge_end) > first and datetime.fromisoformat(one.charge_start) < last
    ]


def unpriced(charges: Iterable[Charge]) -> dict[tuple[str, str, str], list[Charge]]:
    """Return the lines without a cost by (service, region, sku) of the price that is missing."""
    found: dict[tuple[str, str, str], list[Charge]] = {}
    for charge in charges:
        if charge.usd is None:
            found.setdefault((charge.service, charge.region, charge.sku), []).append(charge)
    return found


def merged(before: Sequence[Charge], now: Sequence[Charge]) -> list[Charge]:
    """Return lines of before with those of now in their place, in the order of time.

    What is gone from AWS meanwhile, such as an endpoint that was deleted, stays as it was metered last.
    """
    known = {charge.id: charge for charge in before} | {charge.id: charge for charge in now}
    return sorted(known.values(), key=lambda charge: (charge.charge_start, charge.resource_id, charge.sku, charge.id))
