"""Every failure is heard, found by what an alarm watches and not by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from passerelle.contracts.metrics import NAMESPACE
from tests.infra.matters.platform import Platform

#: Type -> (namespace, dimension, the metrics of which each needs an alarm).
WATCHED: Final = {
    "AWS::Lambda::Function": ("AWS/Lambda", "FunctionName", ("Errors", "Throttles")),
    "AWS::StepFunctions::StateMachine": ("AWS/States", "StateMachineArn", ("ExecutionsFailed", "ExecutionsTimedOut")),
    "AWS::SQS::Queue": ("AWS/SQS", "QueueName", ("ApproximateNumberOfMessagesVisible",)),
}


def everything_that_fails_tells_somebody(platform: Platform) -> Iterator[str]:
    """Each function, state machine and queue has an alarm for each way to fail, and each alarm a topic.

    Those of how severe a project's windows are have none: the step that judges windows tells people itself, and an
    alarm that has tells when it falls silent.
    """
    watched = set()
    for place, alarm in platform.of("AWS::CloudWatch::Alarm"):
        actions = [*alarm.get("AlarmActions", []), *alarm.get("InsufficientDataActions", [])]
        if alarm.get("Namespace") == NAMESPACE and alarm["MetricName"].endswith("Severity"):
            continue
        if not any(platform.is_a(place, action, "AWS::SNS::Topic") for action in actions):
            yield f"{place} tells nobody"
        elif alarm.get("ActionsEnabled", True) is True:
            watched |= {(*what, platform.target(place, value)) for what, value in _metrics(alarm)}
    for type_, (namespace, dimension, metrics) in WATCHED.items():
        for place, _ in platform.of(type_):
            for metric in metrics:
                if (namespace, metric, dimension, place) not in watched:
                    yield f"{place} has no alarm on {metric}"


def _metrics(alarm: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Yield namespace, metric, dimension and its value; also of the parts of a mathematical expression."""
    stats = [alarm, *(item.get("MetricStat", {}).get("Metric", {}) for item in alarm.get("Metrics", ()))]
    for metric in stats:
        for dimension in metric.get("Dimensions", ()):
            yield (metric["Namespace"], metric["MetricName"], dimension["Name"]), dimension["Value"]
