"""What makes records of predictions: a function that is told of each object that an endpoint captured."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, Stack, aws_events, aws_events_targets, aws_logs, aws_sqs

from infra import permissions as may
from infra.constructs.alarm import alarm
from infra.constructs.function import Function
from infra.shared import Shared
from passerelle.contracts import metrics, zones
from passerelle.settings import RecordPredictionsSettings

_BROKEN: Final = "captured lines are no predictions. The ERROR in its log group names the report with the reasons."


def add_prediction_records(stack: Stack, shared: Shared, dead_letters: aws_sqs.IQueue) -> Function:
    """Add the function, its rule, and an alarm for lines that it could not read. Idle, it costs its alarms.

    It holds a part of an object at a time, so that the largest object takes minutes, not memory.
    """
    # By its ARN: what events of this stack may send is said where the queue is.
    queue = aws_sqs.Queue.from_queue_arn(stack, "DeadLetters", dead_letters.queue_arn)
    predictions = shared.zones["predictions"]
    record = shared.function_in(
        stack,
        "RecordPredictions",
        "record_predictions",
        RecordPredictionsSettings(**shared.settings, zones=shared.buckets, hash_key_secret=shared.hash_key_secret),
        [
            *may.read_projects(stack, shared.config.name),
            shared.read_archives(),
            shared.runs("GetItem"),
            may.list_objects(predictions, shared.zones["models"]),
            may.read_objects(predictions, shared.zones["models"]),
            may.write_objects(predictions, shared.zones["quarantine"]),
            *([may.allow(["secretsmanager:GetSecretValue"], shared.hash_key_secret)] if shared.hash_key_secret else []),
        ],
        timeout_seconds=900,
        memory_mib=2048,
        dead_letters=queue,
    )
    aws_events.Rule(
        stack,
        "Captured",
        event_pattern=aws_events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [predictions.bucket_name]},
                "object": {"key": [{"suffix": zones.CAPTURED_SUFFIX}]},
            },
        ),
        targets=[
            aws_events_targets.LambdaFunction(
                record.function, dead_letter_queue=queue, max_event_age=Duration.hours(24), retry_attempts=185
            )
        ],
    )
    broken = aws_logs.MetricFilter(
        record,
        "BrokenLines",
        log_group=record.log_group,
        metric_namespace=f"{metrics.NAMESPACE}/{shared.config.name}",
        metric_name=metrics.BROKEN_LINES,
        filter_pattern=aws_logs.FilterPattern.number_value("$.answer.broken", ">", 0),
        metric_value="$.answer.broken",
    )
    metric = broken.metric(period=Duration.minutes(5), statistic="Sum")
    alarm(record, "Broken", metric, alerts=shared.alerts, description=f"{record.node.path}: {_BROKEN}")
    return record
