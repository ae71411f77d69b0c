"""From when on owning has cost less than renting. None is "never", a valid answer.

References
----------
Lenovo LP2225 (2025-05-23) and LP2368 (2026-02-04): hours = capex / (cloud per hour - running per hour).
ai-infrastructure.net: utilisation = owned cost of a year / (cloud rate x hours of capacity).
randomcalculators: months = capex / (cloud - owned) a month, only if that is positive, else never.
"""

from __future__ import annotations

from passerelle.domain.cost.ownership.busy import MONTHS, Busy
from passerelle.domain.cost.ownership.cloud import Rented, Way, by_use, month
from passerelle.domain.cost.ownership.owned import Machines, monthly, owned_total, purchases
from passerelle.domain.cost.ownership.workload import MONTH_HOURS


def break_even_hours(capex: float, cloud_per_hour: float, running_per_hour: float) -> float | None:
    """Return after how many hours of work a machine has paid for itself, None for never.

    >>> round(break_even_hours(833_806, 98.32, 0.87))
    8556
    """
    saved = cloud_per_hour - running_per_hour
    return capex / saved if saved > 0 else None


def months_of(hours: float, utilisation: float) -> float:
    """Return how many months so many hours of work take; utilisation above 0, 1 for day and night.

    >>> round(months_of(8556, 0.4), 1)
    29.3
    """
    return hours / (MONTH_HOURS * utilisation)


def staff_per_hour(fte: float, per_year: float) -> float:
    """Return what people cost for each hour of the year (12 months of 730 hours).

    >>> round(staff_per_hour(0.25, 200_000), 2)
    5.71
    """
    return fte * per_year / (MONTHS * MONTH_HOURS)


def break_even_month(machines: Machines, rented: Rented, busy: Busy, way: Way) -> float | None:
    """Return the month from which on owning has cost less, to the end of the years; None for never or unknown.

    Money counts when it is paid: servers at once, without what they may bring at the end.
    """
    ahead, found = 0.0, None
    for year, paid in enumerate(purchases(machines, busy)):
        rent = month(rented, busy, year, way)
        if rent is None:
            return None
        saved = rent - sum(monthly(machines, busy, year).values())
        begin = ahead - paid
        ahead = begin + MONTHS * saved
        if ahead < 0:
            found = None
        elif begin < 0:
            found = MONTHS * year - begin / saved
    return found


def hours_until(busy: Busy, months: float) -> float:
    """Return the busy hours of the first so many months."""
    full, rest = divmod(months, MONTHS)
    before = sum(MONTHS * busy.hours(year) for year in range(int(full)))
    return before + rest * busy.hours(int(full))


def break_even_utilisation(machines: Machines, rented: Rented, years: int, way: Way) -> float | None:
    """Return the utilisation, 0 to 1, above which owning costs less over the years; None for never.

    Both sides carry the need once, without growth. It is undefined, and None, where renting costs the same whatever is
    done (`by_use`), or where its rate is unknown.
    """
    rate = rented.rate(way)
    if rate is None or not by_use(rented, way):
        return None
    idle = Busy(utilisation=0.0, growth=0.0, years=years)
    fixed = owned_total(machines, idle) / (MONTHS * years) - rented.other_per_month
    saved = (rate - machines.busy_hour) * MONTH_HOURS
    if fixed <= 0:
        return 0.0
    return fixed / saved if saved > 0 and fixed <= saved else None
