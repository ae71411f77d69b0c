"""AWS list prices: one dated table, one look-up. A price that is not in the table is unknown, never a neighbour's."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: Read prices first; the derived ones (EC2's price times SageMaker's premium) only where nothing was read.
_TABLES: Final = (("prices.csv", False), ("prices_derived.csv", True))


@dataclass(frozen=True)
class Price:
    """A price in USD per unit, with where and when it was read; `derived` when computed and not read."""

    usd: float
    unit: str
    source: str
    as_of: str
    derived: bool


@cache
def _table() -> dict[tuple[str, str, str], Price]:
    found: dict[tuple[str, str, str], Price] = {}
    for name, derived in _TABLES:
        with files("passerelle.domain.cost").joinpath(name).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["usd"]:
                    price = Price(float(row["usd"]), row["unit"], row["source"], row["as_of"], derived)
                    found.setdefault((row["service"], row["region"], row["sku"]), price)
    return found


def find_price(service: str, region: str, sku: str) -> Price | None:
    """Return a price, None when it is unknown."""
    return _table().get((service, region, sku))


#: Rows that hold for every component: AWS gives one rate per instance type in every extract that was read.
_ANY_COMPONENT: Final = ("SageMaker (any component)", "SageMaker (derived)")


def instance_price(component: str, instance_type: str, region: str) -> Price | None:
    """Return the hourly price of a SageMaker instance, None when it is unknown.

    Parameters
    ----------
    component : "SageMaker Training", "SageMaker Processing" or "SageMaker Hosting".
    """
    found = (find_price(service, region, instance_type) for service in (component, *_ANY_COMPONENT))
    return next((price for price in found if price), None)


def job_cost(component: str, instance_type: str, region: str, billable_seconds: float) -> float | None:
    """Return what a SageMaker job costs in USD, None when the instance's price is unknown.

    Parameters
    ----------
    billable_seconds : SageMaker's BillableTimeInSeconds; for spot it already holds the discount.
    """
    price = instance_price(component, instance_type, region)
    return None if price is None else price.usd * billable_seconds / 3600
