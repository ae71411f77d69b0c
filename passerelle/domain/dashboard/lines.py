"""Lines of graphs: what CloudWatch answered, in units that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from passerelle.domain.dashboard.body import Graph, Query, measured

Point = tuple[datetime, float]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What CloudWatch answered to a query for one metric; `problem` where it did not."""

    label: str
    points: tuple[Point, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: `points` oldest first; `band` the ends of an interval, as many as points, or nothing."""

    label: str
    points: tuple[Point, ...]
    right: bool = False
    band: tuple[tuple[float, float], ...] = ()


#: Metric -> its unit here, and what CloudWatch's values are multiplied by. Latencies of SageMaker are microseconds.
_UNITS: Final[dict[str, tuple[str, float]]] = {
    "ModelLatency": ("ms", 1e-3),
    "OverheadLatency": ("ms", 1e-3),
    "Duration": ("ms", 1.0),
    "ExecutionTime": ("s", 1e-3),
    "CPUUtilization": ("%", 1.0),
    "MemoryUtilization": ("%", 1.0),
    "FreeStorageSpace": ("GiB", 2.0**-30),
    "ProcessedBytes": ("MiB", 2.0**-20),
}


def unit_of(query: Query) -> str:
    """Return the unit that a query's line is drawn in, "" for a count or an unknown one."""
    return _UNITS.get(measured(query), ("", 1.0))[0]


def lines_of(graph: Graph, answers: Mapping[str, Sequence[Answer]]) -> tuple[Line, ...]:
    """Return a graph's lines; those without a point are left out, and each has a label of its own."""
    found = [
        (query, _line(query, answer))
        for query in graph.queries
        if not query.hidden
        for answer in answers.get(query.id, ())
        if answer.points
    ]
    for more in (measured, lambda query: query.stat):
        labels = [line.label for _, line in found]
        found = [
            (query, replace(line, label=f"{line.label}, {more(query)}"))
            if labels.count(line.label) > 1 and more(query) not in line.label
            else (query, line)
            for query, line in found
        ]
    return tuple(line for _, line in found)


def problems_of(graph: Graph, answers: Mapping[str, Sequence[Answer]]) -> tuple[str, ...]:
    """Return why lines are missing, each reason once."""
    found = (answer.problem for query in graph.queries for answer in answers.get(query.id, ()) if answer.problem)
    return tuple(dict.fromkeys(found))


def _line(query: Query, answer: Answer) -> Line:
    factor = _UNITS.get(measured(query), ("", 1.0))[1]
    points = tuple((moment.astimezone(UTC), value * factor) for moment, value in sorted(answer.points))
    return Line(label=query.label or answer.label or measured(query), points=points, right=query.right)
