"""The alarms of an endpoint: they tell people, and roll an update back.

One pair for each endpoint configuration, made before it serves: an alarm that the old fleet has tripped already would
abort the update (developer guide, "Auto-Rollback Configuration and Monitoring", which also gives the dimensions that
tell the fleets apart). Without requests they keep their state, so that after a rollback they still say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from passerelle.domain.project import Project

Request = dict[str, Any]
#: No project's name holds it.
SEPARATOR: Final = "."
#: Minutes in a row; Rollout.wait_minutes is longer.
PERIODS: Final = 2
_RUNBOOK: Final = "See docs/operations.md, Alarms."


@dataclass(frozen=True)
class EndpointAlarms:
    """Whole PutMetricAlarm requests."""

    errors: Request
    latency: Request

    @property
    def names(self) -> tuple[str, str]:
        return self.errors["AlarmName"], self.latency["AlarmName"]


def endpoint_alarms(
    project: Project,
    *,
    endpoint: str,
    config_name: str,
    variant: str,
    topic_arn: str,
    tags: list[dict[str, str]],
    component: str | None = None,
) -> EndpointAlarms:
    """Return the alarms on what serves an endpoint by one configuration.

    An inference component is watched under its own name, by alarms of each model (`config_name`): its configuration
    stays, and an alarm that the champion has tripped would roll its successor back.
    """
    limits = project.serving.rollout.alarms
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    if component:
        dimensions = {"InferenceComponentName": component}
    elif project.serving.profile == "real-time":
        dimensions["EndpointConfigName"] = config_name
    shared: Request = {
        "AlarmActions": [topic_arn],
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Period": 60,
        "EvaluationPeriods": PERIODS,
        "DatapointsToAlarm": PERIODS,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        "Tags": tags,
    }
    return EndpointAlarms(
        # One point a request, 1 for an answer of the 500s, else 0: the average is the rate. Errors of callers (400s)
        # are none of the model's, so InvocationModelErrors, which counts them, would be wrong here.
        errors=shared
        | {
            "AlarmName": _name(endpoint, "errors", config_name),
            "AlarmDescription": f"{endpoint} answers more than {limits.error_percent:g} % with errors. {_RUNBOOK}",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Average",
            "Threshold": limits.error_percent / 100,
        },
        latency=shared
        | {
            "AlarmName": _name(endpoint, "latency", config_name),
            "AlarmDescription": f"{endpoint} takes longer than {limits.p99_latency_ms} ms (p99). {_RUNBOOK}",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": float(limits.p99_latency_ms * 1_000),  # microseconds
        },
    )


def alarm_names(endpoint: str, config_name: str) -> tuple[str, str]:
    """Return the names of the alarms of one configuration."""
    return _name(endpoint, "errors", config_name), _name(endpoint, "latency", config_name)


def _name(endpoint: str, what: str, config_name: str) -> str:
    return SEPARATOR.join((endpoint, what, config_name.rpartition("-")[2]))
