"""What watches projects: a machine that judges windows of predictions, its schedules, an alarm for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, Stack, Tags, aws_cloudwatch, aws_iam, aws_sqs
from constructs import Construct

from infra import permissions as may
from infra.constructs.alarm import ABOVE, alarm, alarm_on_silence
from infra.constructs.function import Function
from infra.constructs.schedules import Schedules
from infra.constructs.state_machine import StateMachine
from infra.projects import ProjectSource
from infra.shared import Shared
from passerelle.contracts import metrics, tags
from passerelle.domain.project import Project
from passerelle.domain.project.monitoring import Monitoring
from passerelle.settings import JoinLabelsSettings, LogWindowsSettings, WatchDriftSettings

#: More of a window's records than this are counted by a processing job: some five million predictions.
JOB_FROM_MIB: Final = 96
#: Alarm -> its metric, and what it means.
_ALARMS: Final = {
    "Arrivals": (metrics.ARRIVALS_SEVERITY, "far fewer or more predictions came than usual, or none for too long"),
    "Quality": (metrics.QUALITY_SEVERITY, "inputs stay away, or are broken, more often than in the training data"),
    "Drift": (metrics.DRIFT_SEVERITY, "inputs are no longer like those of the training data"),
    "Answers": (metrics.ANSWERS_SEVERITY, "the model's scores or decisions are no longer what they were"),
    "Worth": (metrics.WORTH_SEVERITY, "the model is worse, by its metric, than when it was accepted, or probably is"),
}
#: CloudWatch looks back seven days at most, with periods of an hour and more (API reference, PutMetricAlarm).
_MOST_PERIODS: Final = {"hourly": 24, "daily": 7, "weekly": 7}


def add_monitors(
    stack: Stack,
    shared: Shared,
    judge_role: aws_iam.IRole,
    dead_letters: aws_sqs.IQueue,
    projects: Sequence[ProjectSource],
    pipeline: StateMachine,
) -> StateMachine:
    """Add them; `pipeline` trains anew what is to be.

    Idle, a project costs 0.70 USD a month for its seven alarms, and 0.90 for the three metrics of its costs; served,
    some 3.30 more for eleven metrics (nine where it says nothing of money).
    """
    watch = _function(stack, shared, judge_role)
    machine = StateMachine(
        stack,
        "WatchProject",
        file="watch_project.asl.json",
        config=shared.config,
        functions={"JoinLabels": _labels(stack, shared), "WatchDrift": watch, "LogWindows": _log(stack, shared)},
        substitutions={"TrainingPipeline": pipeline.machine.state_machine_arn},
        statements=[
            may.sagemaker(
                stack,
                ["CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob", "AddTags"],
                "processing-job",
            ),
            may.sync_rules(stack, may.PROCESSING_RULE),
            may.pass_to_sagemaker(judge_role),
            may.allow(["states:StartExecution"], pipeline.machine.state_machine_arn),
        ],
        timeout=Duration.hours(12),
        key=shared.key,
        alerts=shared.alerts,
        to_do="Read its last ERROR; what was not judged is judged by the next execution",
    )
    arn = machine.machine.state_machine_arn
    schedules = Schedules(
        stack,
        "WatcherRole",
        statements=[may.allow(["states:StartExecution"], arn)],
        dead_letters=dead_letters,
        key=shared.key,
    )
    for source in projects:
        place = Construct(stack, f"Watch-{source.project.name}")
        Tags.of(place).add(tags.PROJECT, source.project.name)
        Tags.of(place).add(tags.COST_CENTRE, source.project.budget.cost_centre)
        schedules.add(
            place,
            "Schedule",
            expression=_times(source.project.monitoring),
            target_arn=arn,
            request={"project": source.project.name},
        )
        _alarms(place, shared, source.project)
    return machine


def _function(stack: Stack, shared: Shared, judge_role: aws_iam.IRole) -> Function:
    zones, topic = shared.zones, shared.alerts
    return shared.function_in(
        stack,
        "WatchDrift",
        "watch_drift",
        WatchDriftSettings(
            **shared.settings,
            zones=shared.buckets,
            alerts_topic_arn=topic.topic_arn,
            image_uri=shared.runtime.image_uri,
            judge_role_arn=judge_role.role_arn,
            kms_key_arn=shared.key.key_arn,
            prepare_instance_type=shared.config.prepare_instance_type,
            job_from_mib=JOB_FROM_MIB,
            vpc=shared.runtime.jobs_vpc,
        ),
        [
            *may.read_projects(stack, shared.config.name),
            shared.read_archives(),
            # A project whose archive is gone is not watched; who may not list hears of "forbidden" instead.
            may.allow(["s3:ListBucket"], shared.archive_bucket_arn),
            shared.runs("GetItem", "PutItem", "Query"),
            may.list_objects(zones["predictions"], zones["models"], zones["curated"], zones["reports"]),
            may.read_objects(zones["predictions"], zones["models"], zones["curated"], zones["reports"]),
            may.write_objects(zones["curated"], zones["reports"]),
            may.allow(["sns:Publish"], topic.topic_arn),
        ],
        timeout_seconds=900,
        memory_mib=2048,
    )


def _labels(stack: Stack, shared: Shared) -> Function:
    zones, secret = shared.zones, shared.hash_key_secret
    return shared.function_in(
        stack,
        "JoinLabels",
        "join_labels",
        JoinLabelsSettings(**shared.settings, zones=shared.buckets, hash_key_secret=secret),
        [
            *may.read_projects(stack, shared.config.name),
            shared.read_archives(),
            may.allow(["s3:ListBucket"], shared.archive_bucket_arn),
            shared.runs("GetItem", "PutItem", "Query"),
            may.list_objects(zones["predictions"], zones["curated"]),
            may.read_objects(zones["predictions"], zones["curated"]),
            may.write_objects(zones["curated"]),
            *([may.allow(["secretsmanager:GetSecretValue"], secret)] if secret else []),
        ],
        timeout_seconds=900,
        memory_mib=2048,
        # The largest there is: a file of labels has to fit in, beside what DuckDB spills.
        disk_mib=10_240,
    )


def _log(stack: Stack, shared: Shared) -> Function:
    runtime = shared.runtime
    return shared.function_in(
        stack,
        "LogWindows",
        "log_windows",
        LogWindowsSettings(**shared.settings, **runtime.tracking_settings),
        [
            *may.read_projects(stack, shared.config.name),
            shared.read_archives(),
            may.allow(["s3:ListBucket"], shared.archive_bucket_arn),
            shared.runs("GetItem", "PutItem", "Query"),
            *runtime.tracking_statements,
        ],
        timeout_seconds=300,
        memory_mib=1024,
        place=runtime.function_place,
    )


def _times(monitoring: Monitoring) -> str:
    """Return when windows are looked at: their grace after each hour, or, of days and weeks, after each day."""
    hours, minutes = divmod(monitoring.grace_minutes, 60)
    if monitoring.schedule == "hourly":
        return f"cron({minutes} * * * ? *)"
    return f"cron({minutes} {hours % 24} * * ? *)"


def _alarms(place: Construct, shared: Shared, project: Project) -> None:
    """Alarm by the rule of the project's incidents; of weeks, when one of the last seven days judged one that alarms.

    They tell nobody: the step that judges sends one message for each cause, with what, since when and what to do. What
    watches is watched: where no execution ends well for two periods, somebody is told.
    """
    monitoring = project.monitoring
    period = Duration.hours(1) if monitoring.schedule == "hourly" else Duration.days(1)
    rule, most = monitoring.incidents, _MOST_PERIODS[monitoring.schedule]
    weekly = monitoring.schedule == "weekly"
    periods = most if weekly else min(rule.windows, most)
    for name, (metric, meaning) in _ALARMS.items():
        alarm(
            place,
            name,
            _metric(shared, project, metric, "Maximum", period),
            alerts=shared.alerts,
            description=f"{project.name}: {meaning}. See `passerelle drift {project.name}`.",
            periods=periods,
            datapoints=1 if weekly else min(rule.opens, periods),
            severity="shown",
        )
    alarm(
        place,
        "Budget",
        _metric(shared, project, metrics.COST_TO_DATE, "Maximum", Duration.days(1)),
        alerts=shared.alerts,
        description=(
            f"{project.name}: this month has cost more than the {project.budget.monthly_usd:g} USD of its budget, by "
            f"the ledger. See `passerelle cost ledger --project {project.name}`."
        ),
        threshold=project.budget.monthly_usd,
        operator=ABOVE,
    )
    alarm_on_silence(
        place,
        "Unwatched",
        _metric(shared, project, metrics.WINDOWS, "SampleCount", period),
        alerts=shared.alerts,
        description=f"{project.name}: nobody looks at its windows any more. See the executions of WatchProject.",
        periods=3 if monitoring.schedule == "hourly" else 2,
    )


def _metric(shared: Shared, project: Project, name: str, statistic: str, period: Duration) -> aws_cloudwatch.Metric:
    return aws_cloudwatch.Metric(
        namespace=metrics.NAMESPACE,
        metric_name=name,
        dimensions_map={metrics.ENVIRONMENT: shared.config.name, metrics.PROJECT: project.name},
        statistic=statistic,
        period=period,
    )
