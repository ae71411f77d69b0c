"""The owned side: what machines cost to buy, to keep and to run, whether they work or stand idle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from passerelle.domain.cost.ownership.busy import MONTHS, Busy
from passerelle.domain.cost.ownership.workload import MONTH_HOURS

#: Sources state what a server is worth after so many years; other ages follow a constant loss a year.
RESIDUAL_YEARS: Final = 3
#: Below it a year's interest is lost in the digits of its loan.
_LEAST_RATE: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Machines:
    """One value of each figure of the owned side; `servers` carry the need once. Money is in one currency."""

    servers: int
    server_price: float
    server_kw: float
    colocation_per_kw_month: float
    residual_share: float
    spares_share: float
    maintenance_share: float
    network_per_server_month: float
    pue: float
    electricity_per_kwh: float
    idle_power_share: float
    fte: float
    fte_per_year: float
    interest_rate: float

    @property
    def capex(self) -> float:
        """What the first servers cost, with spare parts."""
        return self.servers * self.server_price * (1 + self.spares_share)

    @property
    def kwh_price(self) -> float:
        """What an hour of one kW of machines costs: the building takes its part."""
        return self.pue * self.electricity_per_kwh

    @property
    def busy_hour(self) -> float:
        """What an hour of work adds: the power that the machines do not draw when they are idle."""
        return self.servers * self.server_kw * (1 - self.idle_power_share) * self.kwh_price


def bought(machines: Machines, busy: Busy) -> tuple[int, ...]:
    """Return how many servers are bought at the beginning of each year."""
    before = (0, *busy.fleets[:-1])
    return tuple(machines.servers * (now - then) for now, then in zip(busy.fleets, before, strict=True))


def purchases(machines: Machines, busy: Busy) -> tuple[float, ...]:
    """Return what is paid at the beginning of each year."""
    price = machines.server_price * (1 + machines.spares_share)
    return tuple(price * count for count in bought(machines, busy))


def residual(machines: Machines, busy: Busy) -> float:
    """Return what the servers bring at the end: after three years a share, and as much less each further year."""
    return sum(
        count * machines.server_price * float(machines.residual_share ** ((busy.years - year) / RESIDUAL_YEARS))
        for year, count in enumerate(bought(machines, busy))
    )


def interest(principal: float, rate: float, months: int) -> float:
    """Return the interest of a loan that is paid back in equal parts; rate a year, 0.05 for 5 %."""
    if rate < _LEAST_RATE:
        return 0.0
    monthly = rate / MONTHS
    payment = principal * monthly / -math.expm1(-months * math.log1p(monthly))
    return payment * months - principal


def monthly(machines: Machines, busy: Busy, year: int) -> dict[str, float]:
    """Return what a month of a year costs, by kind: all that is not bought."""
    servers = machines.servers * busy.fleets[year]
    idle_kwh = servers * machines.server_kw * MONTH_HOURS * machines.idle_power_share * machines.kwh_price
    loans = 0.0
    for begun, paid in enumerate(purchases(machines, busy)[: year + 1]):
        months = MONTHS * (busy.years - begun)
        loans += interest(paid, machines.interest_rate, months) / months
    return {
        "colocation": servers * machines.server_kw * machines.colocation_per_kw_month,
        "power": idle_kwh + machines.busy_hour * busy.hours(year),
        "maintenance": servers * machines.server_price * machines.maintenance_share / MONTHS,
        "network": servers * machines.network_per_server_month,
        "staff": machines.fte * machines.fte_per_year / MONTHS,
        "financing": loans,
    }


def amortised(machines: Machines, busy: Busy) -> dict[str, float]:
    """Return what owning costs over all years, by kind; hardware is what is paid for it less what it brings."""
    found = {"hardware": sum(purchases(machines, busy)) - residual(machines, busy)}
    for year in range(busy.years):
        for kind, amount in monthly(machines, busy, year).items():
            found[kind] = found.get(kind, 0.0) + MONTHS * amount
    return found


def owned_total(machines: Machines, busy: Busy) -> float:
    """Return what owning costs over all years."""
    return sum(amortised(machines, busy).values())


def idle_share(busy: Busy) -> float:
    """Return the share of the bought hours in which nothing is done: that part of the money is paid for idleness."""
    had = sum(fleets * MONTHS * MONTH_HOURS for fleets in busy.fleets)
    return max(0.0, 1 - busy.total_hours / had)
