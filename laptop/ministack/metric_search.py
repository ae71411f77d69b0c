"""Search expressions of GetMetricData: which metrics a dashboard's graphs mean. MiniStack answers no expression at all.

CloudWatch user guide, "CloudWatch search expression syntax": a search names a namespace with exactly the dimensions of
the metrics, terms that must all be found in them, a statistic and a period.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Answer = tuple[int, dict[str, str], bytes]
#: "A maximum of 100 metrics" (GetMetricData, SEARCH: "can return up to 100 time series").
_MOST: Final = 100
_SEARCH: Final = re.compile(r"\s*SEARCH\(\s*'\s*\{(?P<schema>[^}]*)\}(?P<terms>[^']*)',\s*'(?P<stat>[^']+)'"
                            r"(,\s*(?P<period>\d+)\s*)?\)\s*", re.DOTALL)  # fmt: skip
_WORD: Final = re.compile(r'(?:(?P<name>[\w.]+)=)?(?:"(?P<exact>[^"]*)"|(?P<part>[^\s"()=]+))')
#: Where names are cut for terms without quotes: at all that is no letter or digit, and where a capital begins.
_TOKEN: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class Found:
    """One metric as it is stored."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


@dataclass(frozen=True)
class Search:
    """What a search expression asks for."""

    namespace: str
    dimensions: frozenset[str]
    exact: tuple[tuple[str, str], ...]
    parts: tuple[str, ...]
    stat: str
    period: int

    @classmethod
    def parse(cls, expression: str) -> Search:
        """Read an expression; raises ValueError for what is none, or for terms that are not understood here."""
        found = _SEARCH.fullmatch(expression)
        if not found:
            raise ValueError("The laptop evaluates SEARCH('{Namespace,Dimension} terms', 'stat', period) only")
        schema = [word.strip().strip('"') for word in found["schema"].split(",")]
        if re.search(r"\b(OR|NOT)\b|[()]", found["terms"]):
            raise ValueError("The laptop knows no OR, NOT and brackets in search expressions")
        exact, parts = [], []
        for word in _WORD.finditer(found["terms"]):
            if word["name"]:
                exact.append((word["name"], word["exact"] if word["exact"] is not None else word["part"]))
            elif word["exact"] is not None:
                exact.append(("", word["exact"]))
            elif word["part"] != "AND":
                parts.append(word["part"].lower())
        dimensions = frozenset(schema[1:])
        return cls(schema[0], dimensions, tuple(exact), tuple(parts), found["stat"], int(found["period"] or 300))

    def matches(self, metric: Found) -> bool:
        """Return whether a metric is meant."""
        if metric.namespace != self.namespace or frozenset(metric.dimensions) != self.dimensions:
            return False
        properties = {**metric.dimensions, "MetricName": metric.name, "Namespace": metric.namespace}
        whole = set(properties) | set(properties.values())
        tokens = {token.lower() for text in whole for token in (text, *_TOKEN.findall(text))}
        tokens |= {piece.lower() for text in whole for piece in re.split(r"[^0-9A-Za-z]+", text)}
        named = all(properties.get(name) == value if name else value in whole for name, value in self.exact)
        return named and all(part in tokens for part in self.parts)


def install_metric_search() -> None:
    """Have GetMetricData ask for each metric that a search finds."""
    from ministack.services import cloudwatch

    ask: Callable[..., Answer] = cloudwatch._get_metric_data

    def get_metric_data(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        queries = data.get("MetricDataQueries") or []
        return ask(params, {**data, "MetricDataQueries": [*_expanded(queries)]}, is_cbor, is_json)

    cloudwatch._get_metric_data = get_metric_data


def _expanded(queries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for query in queries:
        if "SEARCH(" not in str(query.get("Expression", "")):
            yield query
            continue
        try:
            search = Search.parse(query["Expression"])
        except ValueError:
            yield query  # answered as MiniStack does: expressions are not implemented
            continue
        found = sorted(
            (one for one in _stored() if search.matches(one)), key=lambda one: sorted(one.dimensions.items())
        )
        for metric, label in zip(found[:_MOST], labels(found), strict=False):
            named = {"Label": query.get("Label") or label}
            yield {key: query[key] for key in ("Id", "ReturnData") if key in query} | named | {
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace,
                        "MetricName": metric.name,
                        "Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions.items()],
                    },
                    "Period": search.period,
                    "Stat": search.stat,
                }
            }  # fmt: skip


def labels(found: Iterable[Found]) -> list[str]:
    """Return a name for each metric: what tells it from the others, as CloudWatch does."""
    metrics = list(found)
    names = sorted({name for metric in metrics for name in metric.dimensions})
    telling = [name for name in names if len({metric.dimensions.get(name) for metric in metrics}) > 1]
    several = len({metric.name for metric in metrics}) > 1
    return [
        " ".join([*(metric.dimensions.get(name, "") for name in telling), *([metric.name] if several else [])])
        or metric.name
        for metric in metrics
    ]


def _stored() -> Iterator[Found]:
    from ministack.services import cloudwatch

    for (namespace, name, _), points in list(cloudwatch._metrics.items()):
        if points:
            yield Found(namespace, name, dict(points[0].get("Dimensions", {})))
