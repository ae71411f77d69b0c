"""A comparison as JSON for machines; in a break-even null is never."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from passerelle.domain.cost.ownership.comparison import Beside, Comparison, Range, Scenario
from passerelle.domain.cost.ownership.worded import NOTES, answers, machines, useful_hour


@cache
def published() -> tuple[Mapping[str, str], ...]:
    """Return what others have published: source, as_of, finding, bias."""
    with files("passerelle.domain.cost.ownership").joinpath("published.csv").open(encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Return the document."""
    basis, work = comparison.basis, comparison.basis.workload
    return {
        "version": 1,
        "name": work.name,
        "currency": work.currency,
        "years": work.years,
        "compared_on": comparison.today.isoformat(),
        "machines": machines(comparison),
        "servers": basis.servers,
        "instances": basis.instances,
        "useful_hour": useful_hour(comparison),
        "answers": list(answers(comparison)),
        "owning_less_on_demand": _range(comparison.difference),
        "scenarios": [_scenario(scenario) for scenario in comparison.scenarios],
        "break_even_utilisation": {way: _range(found) for way, found in comparison.utilisation.items()},
        "owned_by_kind": {kind: _range(found) for kind, found in comparison.lines.items()},
        "unknown": dict(basis.unknown),
        "sensitivity": [asdict(swing) for swing in comparison.swings],
        "figures": [asdict(figure) for figure in basis.figures.values()],
        "published": [dict(line) for line in published()],
        "notes": list(NOTES),
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "use": scenario.use,
        "utilisation": scenario.utilisation,
        "growth_a_year": scenario.growth,
        "hours_a_month": scenario.hours_a_month,
        "owned": _range(scenario.owned),
        "owned_per_useful_hour": _range(scenario.owned_per_useful_hour),
        "idle_share": scenario.idle_share,
        "idle_cost": _range(scenario.idle_cost),
        "rented": [_beside(beside) for beside in scenario.beside],
    }


def _beside(beside: Beside) -> dict[str, Any]:
    return {
        "way": beside.way,
        "total": _range(beside.total),
        "per_useful_hour": _range(beside.per_useful_hour),
        "break_even_month": _range(beside.month),
        "break_even_hours": _range(beside.hours),
        "cheaper": beside.cheaper,
    }


def _range(found: Range) -> dict[str, float | None]:
    return {"low": found.low, "expected": found.expected, "high": found.high}
