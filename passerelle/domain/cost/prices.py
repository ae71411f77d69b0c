"""AWS list prices: one dated table, one look-up. A price that is not in the table is unknown, never a neighbour's."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final

#: What `passerelle cost prices update` writes beside the packaged table; absent until then.
UPDATED: Final = "prices_updated.csv"
#: Read prices first; the derived ones (EC2's price times SageMaker's premium) only where nothing was read.
_TABLES: Final = (("prices.csv", False), (UPDATED, False), ("prices_derived.csv", True))
COLUMNS: Final = ("service", "region", "sku", "unit", "usd", "source", "as_of")
#: Beyond this age a price is said to be old: AWS published most lists anew within a month, and some prices halved.
STALE_DAYS: Final = 180
_DATE: Final = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


@dataclass(frozen=True)
class Price:
    """A price in USD per unit, with where and when it was read; `derived` when computed and not read."""

    usd: float
    unit: str
    source: str
    as_of: str
    derived: bool


@dataclass(frozen=True)
class PriceRow:
    """A row of the table; `usd` is None where a price was looked for and not found, or nobody has verified it."""

    service: str
    region: str
    sku: str
    unit: str
    usd: float | None
    source: str
    as_of: str
    derived: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """What has one price."""
        return self.service, self.region, self.sku

    @property
    def price(self) -> Price | None:
        """The price, None when it is unknown."""
        return None if self.usd is None else Price(self.usd, self.unit, self.source, self.as_of, self.derived)

    def age_days(self, today: date) -> int | None:
        """Return how old the price is, at most; None for one without a date."""
        read = read_on(self.as_of)
        return None if read is None else (today - read).days


def read_on(as_of: str) -> date | None:
    """Return the first day that a date of the table may mean ("2026-10": the 1st), None when it names none."""
    found = _DATE.match(as_of)
    if found is None:
        return None
    year, month, day = (int(part) if part else 1 for part in found.groups())
    return date(year, month, day)


def read_rows(lines: Iterable[str], *, derived: bool) -> Iterator[PriceRow]:
    """Read the lines of a table."""
    for row in csv.DictReader(lines):
        known = row["usd"] and not row["source"].startswith("unverified")
        usd = float(row["usd"]) if known else None
        texts = (row["service"], row["region"], row["sku"], row["unit"])
        yield PriceRow(*texts, usd, row["source"], row["as_of"], derived)


@cache
def price_rows() -> tuple[PriceRow, ...]:
    """Return the whole table: of two rows for one thing that with a price, then the newer one."""
    found: dict[tuple[str, str, str], PriceRow] = {}
    for name, derived in _TABLES:
        file = files("passerelle.domain.cost").joinpath(name)
        if file.is_file():
            for row in read_rows(file.read_text(encoding="utf-8").splitlines(), derived=derived):
                known = found.get(row.key)
                if known is None or _better(row, known):
                    found[row.key] = row
    return tuple(found.values())


def _better(row: PriceRow, known: PriceRow) -> bool:
    if row.usd is None or known.usd is None:
        return known.usd is None and row.usd is not None
    return (read_on(row.as_of) or date.min) > (read_on(known.as_of) or date.min)


@cache
def _table() -> dict[tuple[str, str, str], Price]:
    return {row.key: price for row in price_rows() if (price := row.price)}


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
