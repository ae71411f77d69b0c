"""An alarm on a dead letter queue that is not empty."""

from __future__ import annotations

from aws_cdk import Duration, aws_cloudwatch, aws_cloudwatch_actions, aws_sns, aws_sqs


def alarm_on_messages(queue: aws_sqs.Queue, alerts: aws_sns.ITopic) -> None:
    """Alarm when a message waits: something was given up."""
    metric = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5))
    alarm = metric.create_alarm(
        queue,
        "NotEmpty",
        threshold=1,
        evaluation_periods=1,
        comparison_operator=aws_cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=aws_cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description="An event or invocation was given up. Read the queue, repair, send it again.",
    )
    alarm.add_alarm_action(aws_cloudwatch_actions.SnsAction(alerts))
