"""Metric filters of log groups: MiniStack keeps them, here they make metrics of the lines that they match."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from laptop.ministack.log_patterns import compile_pattern, select

LOG: Final = logging.getLogger(__name__)
Answer = tuple[int, dict[str, str], bytes]


def install_metric_filters() -> None:
    """Patch where every line goes that is put into a log, and refuse patterns that are not known here."""
    from ministack.services import cloudwatch_logs as logs

    deliver = logs._fanout_to_subscription_filters

    def measure_and_deliver(group: str, stream: str, events: Sequence[Mapping[str, Any]]) -> None:
        apply_filters(group, events)
        deliver(group, stream, events)

    logs._fanout_to_subscription_filters = measure_and_deliver
    logs._put_metric_filter = _checked(logs._put_metric_filter)


def _checked(put: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
    def put_metric_filter(data: dict[str, Any]) -> Answer:
        from ministack.core.responses import error_response_json

        try:
            compile_pattern(data.get("filterPattern") or "")
        except ValueError as error:
            answer: Answer = error_response_json("InvalidParameterException", str(error), 400)
            return answer
        return put(data)

    return put_metric_filter


def apply_filters(group: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Put the metrics of lines that were just logged; raises nothing."""
    from ministack.services import cloudwatch
    from ministack.services import cloudwatch_logs as logs

    for (of_group, name), item in list(logs._metric_filters.items()):
        if of_group != group:
            continue
        try:
            for namespace, datum in metric_data(item, events):
                request = {"Namespace": namespace, "MetricData": [datum]}
                cloudwatch._put_metric_data(None, request, False, is_json=True)
        except Exception:
            LOG.exception("the metric filter %s of %s counts nothing", name, group)


def metric_data(item: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return (namespace, datum as PutMetricData takes it) for each line that matches, or for none of them."""
    matches = compile_pattern(item.get("filterPattern") or "")
    found = [event for event in events if matches(event["message"])]
    data = []
    for rule in item.get("metricTransformations") or ():
        for event in found:
            datum = _datum(rule, event)
            if datum:
                data.append((rule["metricNamespace"], datum))
        if events and not found and rule.get("defaultValue") is not None:
            datum = {"MetricName": rule["metricName"], "Value": float(rule["defaultValue"]), "Timestamp": time.time()}
            data.append((rule["metricNamespace"], datum))
    return data


def _datum(rule: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the datum of one line; None where it lacks the value or a dimension."""
    document = _document(event["message"])
    text = str(rule["metricValue"])
    value = select(document, text) if text.startswith("$") else text
    dimensions = {name: select(document, selector) for name, selector in (rule.get("dimensions") or {}).items()}
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if isinstance(value, bool) or any(item is None for item in dimensions.values()):
        return None
    return {
        "MetricName": rule["metricName"],
        "Value": number,
        "Unit": rule.get("unit", "None"),
        "Timestamp": event["timestamp"] / 1000,
        "Dimensions": [{"Name": name, "Value": str(item)} for name, item in dimensions.items()],
    }


def _document(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None
