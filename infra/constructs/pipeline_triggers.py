"""What starts and ends runs: dropped files, failed executions, and a schedule that finds what events have missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, aws_events, aws_events_targets, aws_iam

from infra import permissions as may
from infra.constructs.function import Function
from infra.constructs.pipeline_parts import PipelineParts
from infra.constructs.schedules import Schedules
from infra.constructs.state_machine import StateMachine
from passerelle import settings as function_settings


def add_triggers(parts: PipelineParts, pipeline: StateMachine, deploy_model: StateMachine) -> None:
    """Start a run for each drop, end the run of each execution that failed, and find what both have missed."""
    raw, machine = parts.zones["raw"], pipeline.machine
    drops = {
        **parts.settings,
        "raw_bucket": raw.bucket_name,
        "reports_bucket": parts.zones["reports"].bucket_name,
        "pipeline_arn": machine.state_machine_arn,
    }
    statements = [
        parts.write_runs(),
        may.find_projects(parts.stack, parts.config.name),
        may.list_objects(raw),
        may.read_objects(raw, versions=True),
        may.write_objects(parts.zones["reports"]),
        may.allow(["states:StartExecution"], machine.state_machine_arn),
    ]
    claim = parts.function(
        "ClaimDrop",
        "claim_drop",
        function_settings.ClaimDropSettings(**drops),
        statements,
        asynchronous=True,
    )
    _rule(
        parts,
        "Dropped",
        claim,
        aws_events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={"bucket": {"name": [raw.bucket_name]}},
        ),
    )
    fail = parts.function(
        "FailRun",
        "fail_run",
        function_settings.FailRunSettings(**parts.settings),
        [parts.write_runs(), *parts.explain_failures()],
        asynchronous=True,
    )
    _rule(
        parts,
        "ExecutionFailed",
        fail,
        aws_events.EventPattern(
            source=["aws.states"],
            detail_type=["Step Functions Execution Status Change"],
            detail={
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                "stateMachineArn": [machine.state_machine_arn, deploy_model.machine.state_machine_arn],
            },
        ),
    )
    _reconciler(parts, drops, statements)


def _rule(parts: PipelineParts, id_: str, function: Function, pattern: aws_events.EventPattern) -> None:
    target = aws_events_targets.LambdaFunction(
        function.function, dead_letter_queue=parts.dead_letters, max_event_age=Duration.hours(24), retry_attempts=185
    )
    aws_events.Rule(parts.stack, id_, event_pattern=pattern, targets=[target])


def _reconciler(parts: PipelineParts, drops: dict[str, Any], statements: Sequence[aws_iam.PolicyStatement]) -> None:
    raw = parts.zones["raw"]
    reconcile = parts.function(
        "ReconcileDrops",
        "reconcile_drops",
        function_settings.ReconcileDropsSettings(**drops, grace_seconds=300),
        [
            *statements,
            parts.search_runs(),
            may.allow(["s3:ListBucketVersions"], raw.bucket_arn),
            *parts.explain_failures(),
        ],
        timeout_seconds=600,
        asynchronous=True,
    )
    schedules = Schedules(
        parts.stack,
        "ReconcilerRole",
        statements=[may.allow(["lambda:InvokeFunction"], reconcile.function.function_arn)],
        dead_letters=parts.dead_letters,
        key=parts.key,
    )
    schedules.add(
        parts.stack,
        "Reconciler",
        expression=f"rate({parts.config.reconcile_minutes} minutes)",
        target_arn=reconcile.function.function_arn,
        request={},
    )
