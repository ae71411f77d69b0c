"""The alarms of an endpoint: they tell people, and roll an update back.

One pair for each endpoint configuration, made before it serves: an alarm that the old fleet has tripped already would
abort the update (developer guide, "Auto-Rollback Configuration and Monitoring", which also gives the dimensions that
tell the fleets apart). Without requests they keep their state, so that after a rollback they still say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.variants import VARIANT
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
    def requests(self) -> list[Request]:
        return [self.errors, self.latency]

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
    errors, latency = alarm_names(endpoint, config_name, variant)
    who = endpoint if variant == VARIANT else f"The {variant} of {endpoint}"
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
            "AlarmName": errors,
            "AlarmDescription": f"{who} answers more than {limits.error_percent:g} % with errors. {_RUNBOOK}",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Average",
            "Threshold": limits.error_percent / 100,
        },
        latency=shared
        | {
            "AlarmName": latency,
            "AlarmDescription": f"{who} takes longer than {limits.p99_latency_ms} ms (p99). {_RUNBOOK}",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": float(limits.p99_latency_ms * 1_000),  # microseconds
        },
    )


def alarm_names(endpoint: str, config_name: str, variant: str = VARIANT) -> tuple[str, str]:
    """Return the names of the alarms of one configuration; of a challenger beside the champion they say so."""
    last = config_name.rpartition("-")[2] + ("" if variant == VARIANT else f"-{variant}")
    errors, latency = (SEPARATOR.join((endpoint, what, last)) for what in ("errors", "latency"))
    return errors, latency
