"""An alarm on a dead letter queue that is not empty."""

from __future__ import annotations

from aws_cdk import Duration, aws_sqs

from infra.constructs.alarm import AlertTopic, alarm


def alarm_on_messages(queue: aws_sqs.Queue, alerts: AlertTopic) -> None:
    """Alarm when a message waits: something was given up, and nobody tries again."""
    metric = queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5))
    words = "An event or invocation was given up. Read the queue, repair, send it again within 14 days."
    alarm(queue, "NotEmpty", metric, alerts=alerts, description=words, severity="page")
