"""What a CloudWatch dashboard shows, read from its JSON (API reference, "Dashboard body structure and syntax").

Texts, graphs of metrics and states of alarms are read; of anything else the page says that it does not draw it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

#: A dashboard's grid has so many columns.
GRID: Final = 24
_PERIOD: Final = 300
_SEARCHED: Final = re.compile(r"(SEARCH\(.*,\s*'([^']+)'),\s*(\d+)\s*\)\s*$", re.DOTALL)
#: What a search asks for: its namespace, and the name of the metric.
_NAMED: Final = re.compile(r'MetricName="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Query:
    """One metric, or one expression, of a graph; a search gives several lines.

    `period` is in seconds, `stat` as CloudWatch names it, `label` may be empty; a hidden one feeds other expressions.
    """

    id: str
    stat: str
    period: int
    label: str = ""
    namespace: str = ""
    name: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    expression: str = ""
    right: bool = False
    hidden: bool = False

    def over(self, seconds: int) -> Query:
        """Return the query with a period of at least so many seconds."""
        period = max(self.period, seconds)
        found = _SEARCHED.search(self.expression)
        text = f"{found[1]}, {period})" if found else self.expression
        return replace(self, period=period, expression=text)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A horizontal line with words."""

    value: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text in Markdown."""

    markdown: str
    width: int = GRID


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Lines over time; `unit` is what the left axis is labelled with."""

    title: str
    queries: tuple[Query, ...]
    limits: tuple[Limit, ...] = ()
    unit: str = ""
    width: int = GRID

    @property
    def period(self) -> int:
        """Seconds of its longest period."""
        return max((query.period for query in self.queries), default=_PERIOD)


@dataclass(frozen=True, kw_only=True)
class AlarmStates:
    """The states of alarms, by ARN."""

    title: str
    arns: tuple[str, ...]
    width: int = GRID


@dataclass(frozen=True, kw_only=True)
class Other:
    """A widget that is not drawn here, by the type that CloudWatch gives it."""

    title: str
    type: str
    width: int = GRID


Widget = Text | Graph | AlarmStates | Other


@dataclass(frozen=True, kw_only=True)
class Body:
    """A dashboard's widgets, in the order in which they are read: from above, from the left."""

    widgets: tuple[Widget, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Body:
        """Read a dashboard's body; raises ValueError where it is no such JSON."""
        found = json.loads(text)
        if not isinstance(found, dict) or not isinstance(found.get("widgets", []), list):
            raise ValueError("a dashboard's body is an object with widgets")
        ordered = sorted(found.get("widgets", []), key=lambda one: (one.get("y", 0), one.get("x", 0)))
        return cls(widgets=tuple(_widget(one, number) for number, one in enumerate(ordered)))

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The widgets that draw metrics."""
        return tuple(widget for widget in self.widgets if isinstance(widget, Graph))


def _widget(found: Mapping[str, Any], number: int) -> Widget:
    properties, width = found.get("properties", {}), int(found.get("width", 6))
    title = str(properties.get("title", ""))
    match found.get("type"):
        case "text":
            return Text(markdown=str(properties.get("markdown", "")), width=width)
        case "alarm":
            return AlarmStates(title=title, arns=tuple(map(str, properties.get("alarms", ()))), width=width)
        case "metric" if properties.get("metrics"):
            limits = tuple(
                Limit(value=float(line["value"]), label=str(line.get("label", "")))
                for line in properties.get("annotations", {}).get("horizontal", ())
                if "value" in line
            )
            unit = str(properties.get("yAxis", {}).get("left", {}).get("label", ""))
            queries = tuple(_queries(properties, f"w{number}"))
            return Graph(title=title, queries=queries, limits=limits, unit=unit, width=width)
        case other:
            return Other(title=title, type=str(other), width=width)


def _queries(properties: Mapping[str, Any], prefix: str) -> Iterator[Query]:
    """Yield the queries; `.` repeats what the metric before had at this place, `...` all of its places."""
    before: list[str] = []
    for number, row in enumerate(properties["metrics"]):
        words = [word for word in row if isinstance(word, str)]
        options = next((word for word in row if isinstance(word, dict)), {})
        words = _spelt_out(words, before)
        before = words or before
        pairs = words[2:]
        searched = _SEARCHED.search(str(options.get("expression", "")))
        period = int(searched[3]) if searched else int(options.get("period", properties.get("period", _PERIOD)))
        yield Query(
            # Expressions name metrics by their ids, which are a graph's own.
            id=str(options.get("id", f"{prefix}_{number}")),
            stat=searched[2] if searched else str(options.get("stat", properties.get("stat", "Average"))),
            period=period,
            label=str(options.get("label", "")),
            namespace=words[0] if words else "",
            name=words[1] if len(words) > 1 else "",
            dimensions=tuple(zip(pairs[::2], pairs[1::2], strict=False)),
            expression=str(options.get("expression", "")),
            right=options.get("yAxis") == "right",
            hidden=options.get("visible") is False,
        )


def _spelt_out(words: Sequence[str], before: Sequence[str]) -> list[str]:
    if "..." in words:
        place = list(words).index("...")
        kept = len(before) - (len(words) - 1 - place)
        return [*words[:place], *before[place:kept], *words[place + 1 :]]
    return [before[place] if word == "." and place < len(before) else word for place, word in enumerate(words)]


def measured(query: Query) -> str:
    """Return the name of the metric that a query shows, "" where an expression does not say."""
    found = _NAMED.search(query.expression)
    return found[1] if found else query.name
