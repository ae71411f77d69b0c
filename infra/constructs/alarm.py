"""The only way to make an alarm: it tells somebody, and says what to do."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch, aws_cloudwatch_actions, aws_sns
from constructs import Construct

AT_LEAST = aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD


def alarm(
    scope: Construct,
    id_: str,
    metric: aws_cloudwatch.Metric,
    *,
    alerts: aws_sns.ITopic,
    description: str,
    threshold: float = 1,
    periods: int = 1,
    operator: aws_cloudwatch.ComparisonOperator = AT_LEAST,
) -> None:
    """Alarm when a metric breaches; no data is no breach: what is idle or stopped reports nothing."""
    made = metric.create_alarm(
        scope,
        id_,
        threshold=threshold,
        evaluation_periods=periods,
        comparison_operator=operator,
        treat_missing_data=aws_cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=description,
    )
    made.add_alarm_action(aws_cloudwatch_actions.SnsAction(alerts))
