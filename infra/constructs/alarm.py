"""The only way to make an alarm: it tells somebody, says what to do, and bears the name that the runbook knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from aws_cdk import aws_cloudwatch, aws_cloudwatch_actions, aws_kms, aws_sns
from constructs import Construct

AT_LEAST: Final = aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
ABOVE: Final = aws_cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_RUNBOOK: Final = " Runbook: docs/operations.md, Alarms."
#: `page`: something is lost or down, and goes on so until a person acts. `notify`: read it in the course of the day.
#: `shown`: a state for dashboards and for whoever asks; people are told of it otherwise.
Severity = Literal["page", "notify", "shown"]


@dataclass(frozen=True)
class Raised:
    """An alarm that was made."""

    name: str
    severity: Severity


class AlertTopic(aws_sns.Topic):
    """Where to notify people, with `page` where to wake them; knows every alarm that was made with it."""

    def __init__(
        self, scope: Construct, id_: str, *, key: aws_kms.IKey, display_name: str, page: aws_sns.ITopic
    ) -> None:
        super().__init__(scope, id_, master_key=key, enforce_ssl=True, display_name=display_name)
        self.page = page
        self.raised: list[Raised] = []


def alarm_name(scope: Construct, id_: str) -> str:
    """Return the name of an alarm: `passerelle-<environment>-<stack>-<construct>-<what>`."""
    return "-".join([*scope.node.path.split("/"), id_])


def alarm(
    scope: Construct,
    id_: str,
    metric: aws_cloudwatch.Metric,
    *,
    alerts: AlertTopic,
    description: str,
    threshold: float = 1,
    periods: int = 1,
    datapoints: int | None = None,
    operator: aws_cloudwatch.ComparisonOperator = AT_LEAST,
    severity: Severity = "notify",
) -> None:
    """Alarm when a metric breaches in `datapoints` (without it: all) of the last `periods`.

    No data is no breach: what is idle or stopped reports nothing. `description` says what it means, and then what to
    do.
    """
    name = alarm_name(scope, id_)
    made = metric.create_alarm(
        scope,
        id_,
        alarm_name=name,
        threshold=threshold,
        evaluation_periods=periods,
        datapoints_to_alarm=datapoints,
        comparison_operator=operator,
        treat_missing_data=aws_cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=f"{description}{_RUNBOOK}",
    )
    topic = alerts.page if severity == "page" else alerts
    if severity != "shown":
        made.add_alarm_action(aws_cloudwatch_actions.SnsAction(topic))
    if severity == "page":
        # A pager closes the incident by itself.
        made.add_ok_action(aws_cloudwatch_actions.SnsAction(topic))
    alerts.raised.append(Raised(name, severity))


def alarm_on_silence(
    scope: Construct,
    id_: str,
    metric: aws_cloudwatch.Metric,
    *,
    alerts: AlertTopic,
    description: str,
    periods: int,
) -> None:
    """Tell people when a metric that came regularly has not come for `periods`.

    Such an alarm begins without data, and so without a message; having had some, it loses it.
    """
    name = alarm_name(scope, id_)
    made = metric.create_alarm(
        scope,
        id_,
        alarm_name=name,
        threshold=1,
        evaluation_periods=periods,
        comparison_operator=aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        treat_missing_data=aws_cloudwatch.TreatMissingData.MISSING,
        alarm_description=f"{description}{_RUNBOOK}",
    )
    made.add_insufficient_data_action(aws_cloudwatch_actions.SnsAction(alerts))
    alerts.raised.append(Raised(name, "notify"))
