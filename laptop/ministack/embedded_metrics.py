"""Metrics that log lines carry in CloudWatch's embedded metric format (EMF), as aws-lambda-powertools prints them.

CloudWatch user guide, "Specification: Embedded metric format". A line that breaks the specification gives no metric,
and stays a line of the log like any other; what it should have been is said in the laptop's own log.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

LOG: Final = logging.getLogger(__name__)
MAX_DIMENSIONS: Final = 30
MAX_METRICS: Final = 100
MAX_VALUES: Final = 100
#: PutMetricData's own bounds, which the service holds documents to.
PAST_SECONDS: Final = 14 * 24 * 3600.0
FUTURE_SECONDS: Final = 2 * 3600.0


def install_embedded_metrics() -> None:
    """Patch where every line goes that is put into a log, a function's output included."""
    from ministack.services import cloudwatch_logs as logs

    deliver = logs._fanout_to_subscription_filters

    def measure_and_deliver(group: str, stream: str, events: Sequence[Mapping[str, Any]]) -> None:
        extract(group, events)
        deliver(group, stream, events)

    logs._fanout_to_subscription_filters = measure_and_deliver


def extract(group: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Put the metrics of log lines; raises nothing."""
    from ministack.services import cloudwatch

    for event in events:
        message = str(event.get("message", ""))
        if '"_aws"' not in message or '"CloudWatchMetrics"' not in message:
            continue
        try:
            for namespace, data in metric_data(message, now=time.time()):
                cloudwatch._put_metric_data(None, {"Namespace": namespace, "MetricData": data}, False, is_json=True)
        except ValueError as error:
            LOG.warning("a line of %s is no embedded metric: %s", group, error)
        except Exception:
            LOG.exception("a line of %s gives no metrics", group)


def metric_data(message: str, *, now: float) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield (namespace, MetricData as PutMetricData takes it) of a document.

    Raises ValueError, before anything is yielded, with what breaks the specification.
    """
    try:
        root = json.loads(message)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(root, dict):
        raise ValueError("it is not a JSON object")
    meta = _object(root.get("_aws"), "_aws")
    moment = meta.get("Timestamp")
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise ValueError("_aws.Timestamp is no number of milliseconds")
    if not now - PAST_SECONDS <= moment / 1000 <= now + FUTURE_SECONDS:
        raise ValueError(f"_aws.Timestamp {moment} is not of the last two weeks")
    directives = [_directive(root, item) for item in _list(meta.get("CloudWatchMetrics"), "CloudWatchMetrics")]
    for namespace, data in directives:
        yield namespace, [{**datum, "Timestamp": moment / 1000} for datum in data]


def _directive(root: Mapping[str, Any], directive: Any) -> tuple[str, list[dict[str, Any]]]:
    directive = _object(directive, "CloudWatchMetrics")
    namespace = directive.get("Namespace")
    if not isinstance(namespace, str) or not namespace:
        raise ValueError("Namespace is no text")
    sets = [_dimensions(root, names) for names in _list(directive.get("Dimensions", [[]]), "Dimensions")] or [[]]
    metrics = _list(directive.get("Metrics"), "Metrics")
    if len(metrics) > MAX_METRICS:
        raise ValueError(f"{len(metrics)} metrics are more than {MAX_METRICS}")
    data: list[dict[str, Any]] = []
    for metric in metrics:
        name, unit = _object(metric, "Metrics").get("Name"), metric.get("Unit", "None")
        if not isinstance(name, str) or not isinstance(unit, str):
            raise ValueError("the Name or Unit of a metric is no text")
        if name in root:  # one that the document does not have is left out
            values = _values(name, root[name])
            data += [{"MetricName": name, "Dimensions": each, "Unit": unit, "Values": values} for each in sets]
    return namespace, [datum for datum in data if datum["Values"]]


def _dimensions(root: Mapping[str, Any], names: Any) -> list[dict[str, str]]:
    names = _list(names, "Dimensions")
    if len(names) > MAX_DIMENSIONS:
        raise ValueError(f"{len(names)} dimensions are more than {MAX_DIMENSIONS}")
    for name in names:
        if not isinstance(name, str) or not isinstance(root.get(name), str):
            raise ValueError(f"the dimension {name!r} is no text of the document")
    return [{"Name": name, "Value": root[name]} for name in names]


def _values(name: str, value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_VALUES:
        raise ValueError(f"the metric {name!r} has {len(values)} values, more than {MAX_VALUES}")
    if any(isinstance(item, bool) or not isinstance(item, int | float) or not math.isfinite(item) for item in values):
        raise ValueError(f"the metric {name!r} has a value that is no number")
    return [float(item) for item in values]


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    return value
