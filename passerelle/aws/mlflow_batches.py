"""Metrics, parameters and tags in as few requests as MLflow's limits allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, Final, NamedTuple

#: REST API reference of MLflow, "Log Batch": metrics, parameters and tags of one request.
_MOST_METRICS: Final = 1_000
_MOST_OTHERS: Final = 100
#: All of a request together must be no more than the metrics alone may be.
_METRICS_BESIDE_OTHERS: Final = _MOST_METRICS - 2 * _MOST_OTHERS
MAX_PARAM: Final = 500


class Point(NamedTuple):
    """One value of a series; `moment` in epoch milliseconds."""

    name: str
    value: float
    moment: int
    step: int


def log_values(
    client: Any,
    run: Any,
    *,
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    model_id: str | None = None,
    series: Iterable[Point] = (),
) -> None:
    """Log everything about a run. Told again, the same is the same: a parameter that is there already stays.

    Metrics with a `model_id` are shown with that model too. Points have the time and step 0, so that a metric that is
    logged twice is one point; those of `series` have their own.
    """
    from mlflow.entities import Metric, Param, RunTag

    points = [Metric(name, float(value), 0, 0, model_id=model_id) for name, value in (metrics or {}).items()]
    points += [Metric(*point) for point in series]
    known = run.data.params
    new = [Param(name, str(value)[:MAX_PARAM]) for name, value in sorted((params or {}).items()) if name not in known]
    labels = [RunTag(name, value) for name, value in (tags or {}).items()]
    parts = (
        _pieces(points, _METRICS_BESIDE_OTHERS),
        _pieces(new, _MOST_OTHERS),
        _pieces(labels, _MOST_OTHERS),
    )
    for some_points, some_params, some_tags in zip_longest(*parts, fillvalue=()):
        client.log_batch(run.info.run_id, metrics=some_points, params=some_params, tags=some_tags)


def _pieces(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
