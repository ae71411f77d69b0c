"""The functions between the jobs: each may do exactly what its step does."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_iam

from infra import permissions as may
from infra.constructs.function import Function
from infra.constructs.pipeline_parts import TUNING_JOB, PipelineParts
from infra.constructs.spark_application import SparkApplication
from infra.source import git_sha, lock_hash
from passerelle import settings as function_settings


def pipeline_functions(
    parts: PipelineParts, job_role: aws_iam.IRole, spark: SparkApplication | None
) -> dict[str, Function]:
    """Return the functions that the state machine calls, by the names that its definition has for them."""
    jobs = _job_settings(parts, job_role)
    return {
        "GatherDrop": _gather_drop(parts, jobs, spark),
        "RecordDataset": _record_dataset(parts, jobs, spark),
        "RecordTuning": _record_tuning(parts, jobs),
        "RecordTraining": _record_training(parts, jobs),
        "RecordEvaluation": _record_evaluation(parts, jobs),
        "RegisterModel": _register_model(parts, jobs),
        "CloseRun": _close_run(parts),
    }


def _job_settings(parts: PipelineParts, job_role: aws_iam.IRole) -> dict[str, Any]:
    return {
        **parts.settings,
        "zones": parts.buckets,
        "image_uri": parts.runtime.image_uri,
        "gpu_image_uri": parts.runtime.gpu_image_uri,
        "vpc": parts.runtime.jobs_vpc,
        "job_role_arn": job_role.role_arn,
        "region": parts.config.region,
        "kms_key_arn": parts.key.key_arn,
        "prepare_instance_type": parts.config.prepare_instance_type,
        "git_sha": git_sha(),
        "lock_hash": lock_hash(),
    }


def _gather_drop(parts: PipelineParts, jobs: dict[str, Any], spark: SparkApplication | None) -> Function:
    config, zones = parts.config, parts.zones
    large: dict[str, Any] = {}
    if spark and config.spark:
        large = {
            "spark_application": spark.application.attr_application_id,
            "spark_role_arn": spark.role.role_arn,
            "spark_from_gb": config.spark.from_gb,
        }
    return parts.function(
        "GatherDrop",
        "gather_drop",
        function_settings.GatherDropSettings(
            **jobs,
            quiet_window_seconds=config.quiet_window_seconds,
            poll_seconds=config.poll_seconds,
            **large,
        ),
        [
            parts.write_runs(),
            parts.search_runs(),
            *parts.read_projects(),
            parts.look_at_executions(),
            may.list_objects(zones["raw"]),
            may.read_objects(zones["raw"], versions=True),
            may.write_objects(zones["curated"]),
        ],
        timeout_seconds=900,
        memory_mib=1024,
    )


def _record_dataset(parts: PipelineParts, jobs: dict[str, Any], spark: SparkApplication | None) -> Function:
    return parts.function(
        "RecordDataset",
        "record_dataset",
        function_settings.RecordDatasetSettings(
            **jobs, spark_application=spark.application.attr_application_id if spark else ""
        ),
        [
            parts.write_runs(),
            parts.search_runs(),
            *parts.read_projects(),
            parts.look_at_executions(),
            may.list_objects(parts.zones["curated"]),
            may.read_objects(parts.zones["curated"]),
            *([spark.look_at_jobs()] if spark else []),
        ],
    )


def _record_tuning(parts: PipelineParts, jobs: dict[str, Any]) -> Function:
    return parts.function(
        "RecordTuning",
        "record_tuning",
        function_settings.RecordTuningSettings(**jobs),
        [
            parts.write_runs(),
            *parts.read_projects(),
            parts.look_at_executions(),
            may.list_objects(parts.zones["curated"]),
            may.read_objects(parts.zones["curated"]),
            may.write_objects(parts.zones["curated"]),
            may.sagemaker(parts.stack, ["ListTrainingJobsForHyperParameterTuningJob"], TUNING_JOB),
            may.sagemaker(parts.stack, ["DescribeTrainingJob"], "training-job"),
        ],
        # It asks for each of hundreds of trials.
        timeout_seconds=900,
        memory_mib=1024,
    )


def _record_training(parts: PipelineParts, jobs: dict[str, Any]) -> Function:
    made = parts.zones["curated"], parts.zones["models"]
    return parts.function(
        "RecordTraining",
        "record_training",
        function_settings.RecordTrainingSettings(**jobs),
        [
            parts.write_runs(),
            *parts.read_projects(),
            parts.look_at_executions(),
            may.list_objects(*made),
            may.read_objects(*made),
        ],
        memory_mib=1024,
    )


def _record_evaluation(parts: PipelineParts, jobs: dict[str, Any]) -> Function:
    zones = parts.zones
    return parts.function(
        "RecordEvaluation",
        "record_evaluation",
        function_settings.RecordEvaluationSettings(**parts.settings, zones=jobs["zones"], region=parts.config.region),
        [
            parts.write_runs(),
            parts.look_at_executions(),
            may.list_objects(zones["curated"]),
            may.read_objects(zones["curated"]),
            may.write_objects(zones["reports"]),
        ],
    )


def _register_model(parts: PipelineParts, jobs: dict[str, Any]) -> Function:
    zones, runtime = parts.zones, parts.runtime
    return parts.function(
        "RegisterModel",
        "register_model",
        function_settings.RegisterModelSettings(
            **parts.settings,
            zones=jobs["zones"],
            **runtime.tracking_settings,
            git_sha=jobs["git_sha"],
            lock_hash=jobs["lock_hash"],
        ),
        [
            parts.write_runs(),
            parts.look_at_executions(),
            may.list_objects(zones["curated"]),
            may.read_objects(zones["curated"], zones["models"]),
            *runtime.tracking_statements,
        ],
        timeout_seconds=600,
        memory_mib=2048,
        place=runtime.function_place,
    )


def _close_run(parts: PipelineParts) -> Function:
    functions = parts.arn("lambda", f"function:passerelle-{parts.config.name}-*")
    return parts.function(
        "CloseRun",
        "close_run",
        function_settings.CloseRunSettings(**parts.settings),
        [
            parts.write_runs(),
            may.allow(
                ["states:GetExecutionHistory", "states:DescribeStateMachineForExecution"],
                parts.arn("states", "execution:*"),
            ),
            may.allow(["lambda:GetFunctionConfiguration"], functions),
        ],
    )
