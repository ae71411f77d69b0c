"""What the answer hangs on: each figure by itself from its low to its high end, all others as expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.ownership.basis import Basis, Case
from passerelle.domain.cost.ownership.break_even import break_even_month
from passerelle.domain.cost.ownership.cloud import rented_total
from passerelle.domain.cost.ownership.owned import owned_total
from passerelle.domain.cost.ownership.sources import End

#: What every comparison is asked for.
ALWAYS: Final = ("utilisation", "cloud price", "hardware price", "staff", "electricity")
#: What is moved -> the figures that move together.
DRIVERS: Final[dict[str, tuple[str, ...]]] = {
    "utilisation": ("utilisation",),
    "cloud price": ("price_change",),
    "hardware price": ("server_price",),
    "staff": ("fte", "fte_per_year"),
    "electricity": ("electricity_per_kwh",),
    "colocation": ("colocation_per_kw_month",),
    "growth": ("growth_a_year",),
    "power of a server": ("server_kw",),
    "maintenance": ("maintenance_share",),
    "residual value": ("residual_share",),
    "interest": ("interest_rate",),
}


@dataclass(frozen=True, kw_only=True)
class Swing:
    """What one driver moves: owning less renting on demand over all years (below 0: owning costs less), at each end.

    `months` is the break-even month at each end, None for never; `inputs` are the ends of its first figure.
    """

    driver: str
    inputs: tuple[float, float]
    unit: str
    difference: tuple[float, float]
    months: tuple[float | None, float | None]

    @property
    def size(self) -> float:
        """How far it moves the answer."""
        return abs(self.difference[1] - self.difference[0])


def difference(case: Case) -> float:
    """Return what owning costs more than renting on demand over all years; below 0 it costs less."""
    rented = rented_total(case.rented, case.busy, "on demand")
    assert rented is not None  # a workload whose price on demand is unknown is refused
    return owned_total(case.machines, case.busy) - rented


def tornado(basis: Basis) -> tuple[Swing, ...]:
    """Return what each driver moves, the greatest first; of those that nobody asked for, what moves something."""
    shown = [swing for swing in _swings(basis) if swing.size or swing.driver in ALWAYS]
    return tuple(sorted(shown, key=lambda swing: -swing.size))


def _swings(basis: Basis) -> Iterator[Swing]:
    for driver, names in DRIVERS.items():
        first = basis.figures[names[0]]
        low, high = (basis.case(single=dict.fromkeys(names, end)) for end in _ENDS)
        yield Swing(
            driver=driver,
            inputs=(first.low, first.high),
            unit=" ".join(part for part in (first.currency, first.unit) if part),
            difference=(difference(low), difference(high)),
            months=(_month(low), _month(high)),
        )


_ENDS: Final[tuple[End, End]] = ("low", "high")


def _month(case: Case) -> float | None:
    return break_even_month(case.machines, case.rented, case.busy, "on demand")
