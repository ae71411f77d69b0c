"""The comparison: three scenarios of use, each with the range that the figures of both sides leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from passerelle.domain.cost.ownership.basis import Basis, Case, basis_of
from passerelle.domain.cost.ownership.break_even import break_even_month, break_even_utilisation, hours_until
from passerelle.domain.cost.ownership.cloud import WAYS, Way, by_use, market, rented_total
from passerelle.domain.cost.ownership.owned import amortised, idle_share, owned_total
from passerelle.domain.cost.ownership.sensitivity import Swing, difference, tornado
from passerelle.domain.cost.ownership.sources import ENDS, End
from passerelle.domain.cost.ownership.workload import Workload


@dataclass(frozen=True)
class Range:
    """A result between its ends; None is never, and comes last."""

    low: float | None
    expected: float | None
    high: float | None

    def per(self, divisor: float) -> Range:
        """Return the range divided."""
        low, expected, high = (
            None if value is None else value / divisor for value in (self.low, self.expected, self.high)
        )
        return Range(low, expected, high)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Owning beside one way to rent, over all years: its cost, and when owning breaks even (None is never)."""

    way: Way
    total: Range
    per_useful_hour: Range
    month: Range
    hours: Range
    cheaper: str


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One use of three. Totals are over all years; a useful hour is an hour of one GPU or vCPU that works."""

    use: End
    utilisation: float
    growth: float
    hours_a_month: float
    owned: Range
    owned_per_useful_hour: Range
    idle_share: float
    idle_cost: Range
    beside: tuple[Beside, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The answer, with what it rests on; `difference` is owning less renting on demand at the expected use."""

    basis: Basis
    today: date
    scenarios: tuple[Scenario, ...]
    difference: Range
    lines: dict[str, Range]
    utilisation: dict[Way, Range]
    swings: tuple[Swing, ...]

    @property
    def expected(self) -> Scenario:
        """The scenario of the expected use."""
        return self.scenarios[ENDS.index("expected")]


#: The ends at which owning does best, as expected, and worst: every result rises or falls with each figure.
_BEST_TO_WORST: Final[tuple[tuple[End, End], ...]] = (("low", "high"), ("expected", "expected"), ("high", "low"))


def compare(workload: Workload, *, today: date, oldest_days: int, accept_old: bool = False) -> Comparison:
    """Return the comparison of a workload.

    Raises
    ------
    InputError : the cloud's price is older than `oldest_days` or undated, and that is not accepted.
    """
    basis = basis_of(workload, market(workload, today=today, oldest_days=oldest_days, accept_old=accept_old))
    return Comparison(
        basis=basis,
        today=today,
        scenarios=tuple(_scenario(basis, use) for use in ENDS),
        difference=_range([difference(basis.case(owned=own, cloud=cloud)) for own, cloud in _BEST_TO_WORST]),
        lines=_lines(basis),
        utilisation={way: _break_even_utilisation(basis, way) for way in _known(basis) if _by_use(basis, way)},
        swings=tornado(basis),
    )


def _known(basis: Basis) -> tuple[Way, ...]:
    return tuple(way for way in WAYS if way not in basis.unknown)


def _by_use(basis: Basis, way: Way) -> bool:
    return by_use(basis.case().rented, way)


def _scenario(basis: Basis, use: End) -> Scenario:
    busy = basis.case(use=use).busy
    owned = _range([owned_total(case.machines, case.busy) for case in _owned_cases(basis, use)])
    useful = busy.total_hours * basis.workload.need.count
    idle = idle_share(busy)
    return Scenario(
        use=use,
        utilisation=busy.utilisation,
        growth=busy.growth,
        hours_a_month=busy.hours(0),
        owned=owned,
        owned_per_useful_hour=owned.per(useful),
        idle_share=idle,
        idle_cost=owned.per(1 / idle) if idle else Range(0, 0, 0),
        beside=tuple(_beside(basis, use, way, owned, useful) for way in _known(basis)),
    )


def _owned_cases(basis: Basis, use: End) -> list[Case]:
    return [basis.case(use=use, owned=end) for end in ENDS]


def _beside(basis: Basis, use: End, way: Way, owned: Range, useful: float) -> Beside:
    rents = [basis.case(use=use, cloud=end) for end in ENDS]
    total = _range([rented_total(case.rented, case.busy, way) for case in rents])
    months, hours = [], []
    for own, cloud in _BEST_TO_WORST:
        case = basis.case(use=use, owned=own, cloud=cloud)
        months.append(month := break_even_month(case.machines, case.rented, case.busy, way))
        hours.append(None if month is None else hours_until(case.busy, month))
    return Beside(
        way=way,
        total=total,
        per_useful_hour=total.per(useful),
        month=_range(months),
        hours=_range(hours),
        cheaper=_cheaper(owned, total),
    )


def _range(values: list[float | None] | list[float]) -> Range:
    low, expected, high = values
    return Range(low, expected, high)


def _cheaper(owned: Range, rented: Range) -> str:
    """Return "owning" or "renting" when it is so at all ends, else which one is expected, and that it may turn."""
    ends = (owned.low, owned.expected, owned.high, rented.low, rented.expected, rented.high)
    if any(end is None for end in ends):  # pragma: no cover: ways without a price are left out before
        return "unknown"
    low, expected, high, rent_low, rent_expected, rent_high = (float(end or 0.0) for end in ends)
    if high < rent_low:
        return "owning"
    if rent_high < low:
        return "renting"
    return "owning, not surely" if expected < rent_expected else "renting, not surely"


def _break_even_utilisation(basis: Basis, way: Way) -> Range:
    def at(own: End, cloud: End) -> float | None:
        case = basis.case(owned=own, cloud=cloud)
        return break_even_utilisation(case.machines, case.rented, basis.workload.years, way)

    return _range([at(own, cloud) for own, cloud in _BEST_TO_WORST])


def _lines(basis: Basis) -> dict[str, Range]:
    """Return what owning costs at the expected use, by kind, each from its cheap to its dear end."""
    kinds = [amortised(case.machines, case.busy) for case in _owned_cases(basis, "expected")]
    return {kind: _range([found[kind] for found in kinds]) for kind in kinds[0]}
