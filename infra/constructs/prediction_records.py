"""What makes records of predictions: a function told of each object an endpoint captured, and of lines it logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, Stack, aws_events, aws_events_targets, aws_logs, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.constructs.alarm import alarm
from infra.constructs.function import Function
from infra.constructs.prediction_log import PredictionLog, let_logs_invoke
from infra.projects import ProjectSource
from infra.shared import Shared
from passerelle.contracts import metrics, zones
from passerelle.settings import RecordPredictionsSettings

_BROKEN: Final = (
    "captured or logged lines are no predictions. The ERROR in its log group names the report with the reasons."
)


def add_prediction_records(
    stack: Stack, shared: Shared, dead_letters: aws_sqs.IQueue, projects: Sequence[ProjectSource]
) -> Function:
    """Add the function, its rule, and an alarm for lines that it could not read. Idle, it costs its alarms.

    Projects whose endpoint is serverless get its log, too.

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
    _add_logs(stack, shared, record, projects)
    return record


def _add_logs(stack: Stack, shared: Shared, record: Function, projects: Sequence[ProjectSource]) -> None:
    serverless = [item.project.name for item in projects if item.project.serving.profile == "serverless"]
    if serverless:
        allowed, scope = let_logs_invoke(stack, record, shared.config.name), Construct(stack, "PredictionLog")
        for name in serverless:
            # CloudWatch Logs tries whether it may when the filter is made.
            PredictionLog(scope, name, shared=shared, record=record).filter.node.add_dependency(allowed)
