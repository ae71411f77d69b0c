"""Figures with their unit, source, date and bias: those of the workload file, else dated ones of figures.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from passerelle.domain.cost.ownership.amounts import Amount
from passerelle.domain.cost.ownership.workload import Workload

End = Literal["low", "expected", "high"]
ENDS: Final[tuple[End, ...]] = ("low", "expected", "high")
GIVEN: Final = "given in the workload file"
OWN_BIAS: Final = "Your own figure: as good as its quote."
#: Figures of the cloud side; all others belong to the owned side.
CLOUD_FIGURES: Final = ("price_change", "spot_lost_hours", "other_per_month")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure between two ends, where and when it was read, and in whose interest it may be.

    `currency` is "" for what is no money.
    """

    name: str
    low: float
    expected: float
    high: float
    unit: str
    source: str
    as_of: str
    bias: str
    currency: str = ""

    def at(self, end: End) -> float:
        """Return one of its ends, or what is expected."""
        return {"low": self.low, "expected": self.expected, "high": self.high}[end]

    def times(self, factor: float) -> Figure:
        """Return the figure multiplied; its unit stays."""
        return replace(self, low=self.low * factor, expected=self.expected * factor, high=self.high * factor)


@cache
def _defaults() -> dict[tuple[str, str], Figure]:
    with files("passerelle.domain.cost.ownership").joinpath("figures.csv").open(encoding="utf-8") as file:
        return {
            (line["name"], line["unit_of_need"]): Figure(
                name=line["name"],
                low=float(line["low"]),
                expected=float(line["expected"]),
                high=float(line["high"]),
                unit=line["unit"],
                source=line["source"],
                as_of=line["as_of"],
                bias=line["bias"],
                currency=line["currency"],
            )
            for line in csv.DictReader(file)
        }


def default_figures() -> tuple[Figure, ...]:
    """Return all figures of the table."""
    return tuple(_defaults().values())


def default_figure(name: str, unit_of_need: str) -> Figure:
    """Return a figure of the table; `unit_of_need` is "gpu" or "cpu"."""
    return _defaults().get((name, unit_of_need)) or _defaults()[name, "any"]


def of_amount(name: str, amount: Amount, *, unit: str, currency: str = "") -> Figure:
    """Return what the workload file gives."""
    return Figure(
        name=name,
        low=amount.low,
        expected=amount.expected,
        high=amount.high,
        unit=unit,
        source=amount.source or GIVEN,
        as_of=amount.as_of.isoformat() if amount.as_of else "undated",
        bias=OWN_BIAS,
        currency=currency,
    )


def exchange_rate(workload: Workload) -> Figure:
    """Return the rate at which all money is converted, USD for one EUR."""
    given, known = workload.usd_per_eur, default_figure("usd_per_eur", "any")
    return of_amount(known.name, given, unit=known.unit) if given else known


def converted(figure: Figure, workload: Workload) -> Figure:
    """Return a figure in the workload's currency, at the expected rate."""
    if figure.currency in ("", workload.currency):
        return figure
    rate = exchange_rate(workload).expected
    factor = rate if figure.currency == "EUR" else 1 / rate
    return replace(figure.times(factor), currency=workload.currency)


def owned_figures(workload: Workload) -> Iterator[Figure]:
    """Yield all figures of the owned side, in the workload's currency; of a server, per server."""
    owned, unit = workload.owned, workload.need.unit
    for name, given in (("server_price", owned.server.price), ("server_kw", owned.server.kw)):
        yield _of_server(name, given, workload)
    money = workload.currency
    yield of_amount("colocation_per_kw_month", owned.colocation_per_kw_month, unit="per kW and month", currency=money)
    for known in default_figures():
        if hasattr(owned, known.name) and known is default_figure(known.name, unit):
            yield _given_or(known, getattr(owned, known.name), workload)


def cloud_figures(workload: Workload) -> Iterator[Figure]:
    """Yield the figures of the cloud side that are no price and no saving of spot."""
    for name in CLOUD_FIGURES:
        known = default_figure(name, workload.need.unit)
        yield _given_or(known, getattr(workload.cloud, name), workload)


def _given_or(known: Figure, given: Amount | None, workload: Workload) -> Figure:
    if given is None:
        return converted(known, workload)
    return of_amount(known.name, given, unit=known.unit, currency=workload.currency if known.currency else "")


def _of_server(name: str, given: Amount | None, workload: Workload) -> Figure:
    unit = "kW per server" if name == "server_kw" else "per server"
    known = default_figure(name, workload.need.unit)
    if given:
        return of_amount(name, given, unit=unit, currency=workload.currency if known.currency else "")
    server = workload.owned.server
    count = server.gpus if workload.need.unit == "gpu" else server.vcpus
    return replace(converted(known.times(count or 1), workload), unit=unit)
