"""How long the need is busy, year by year: what both sides must do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.ownership.workload import MONTH_HOURS

MONTHS: Final = 12
#: What growth makes of a full machine is not a second one for a rounding error.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A share of all hours (0 to 1) in the first of so many years, and its growth a year (0.1: 10 % more)."""

    utilisation: float
    growth: float
    years: int

    def hours(self, year: int) -> float:
        """Return the busy hours of a month of a year, from 0 on: above 730 when the need must be there twice."""
        return float(self.utilisation * MONTH_HOURS * (1 + self.growth) ** year)

    @property
    def total_hours(self) -> float:
        """The busy hours of all years."""
        return sum(MONTHS * self.hours(year) for year in range(self.years))

    @property
    def fleets(self) -> tuple[int, ...]:
        """How many times the need must be there in each year; what was bought stays."""
        found: list[int] = []
        for year in range(self.years):
            now = max(1, math.ceil(self.hours(year) / MONTH_HOURS - _ROUNDING))
            found.append(max(now, found[-1]) if found else now)
        return tuple(found)
