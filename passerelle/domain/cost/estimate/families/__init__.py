"""Who prices which type of resource, and which types are free."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Final

from passerelle.domain.cost.estimate.families import compute, learning, network, operation, storage
from passerelle.domain.cost.estimate.parts import Component
from passerelle.domain.cost.estimate.resource import Resource

Pricer = Callable[[Resource], Iterator[Component]]
PRICERS: Final[Mapping[str, Pricer]] = {
    **compute.PRICERS,
    **learning.PRICERS,
    **network.PRICERS,
    **operation.PRICERS,
    **storage.PRICERS,
}


@cache
def why_free(type_: str) -> str | None:
    """Return why a type costs nothing by itself; None for one that is not known to."""
    return next((why for pattern, why in _free() if fnmatchcase(type_, pattern)), None)


@cache
def _free() -> tuple[tuple[str, str], ...]:
    with files("passerelle.domain.cost.estimate.families").joinpath("free.csv").open(encoding="utf-8") as file:
        return tuple((line["type"], line["why"]) for line in csv.DictReader(file))
