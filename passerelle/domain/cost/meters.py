"""What AWS meters, by a name of ours: which rows of the price table mean it, and how the Price List calls it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Offer:
    """How the Price List names a meter: `usage_type` without the region's prefix."""

    service_code: str
    product_family: str
    usage_type: str


@dataclass(frozen=True)
class Meter:
    """One thing that is paid by the `unit`; of `rows` (service, sku), which regions name differently, one has a price.

    The first row is the one that `passerelle cost prices update` writes, from `offer`; None where none is known.
    """

    name: str
    unit: str
    rows: tuple[tuple[str, str], ...]
    offer: Offer | None


@cache
def meters() -> Mapping[str, Meter]:
    """Return every meter by its name."""
    return {meter.name: meter for meter in _read()}


def _read() -> Iterator[Meter]:
    lines: dict[str, list[dict[str, str]]] = {}
    with files("passerelle.domain.cost").joinpath("meters.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            lines.setdefault(line["meter"], []).append(line)
    for name, found in lines.items():
        first = found[0]
        offer = Offer(first["offer"], first["family"], first["usage_type"]) if first["offer"] else None
        yield Meter(name, first["unit"], tuple((line["service"], line["sku"]) for line in found), offer)
