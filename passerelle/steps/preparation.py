"""What prepares a drop: the engine is chosen by size, and with it the job."""

from __future__ import annotations

from typing import Any

from passerelle.contracts.container import DropManifest
from passerelle.domain.dataset.engine import choose_engine
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import JobPlace, RunRef, prepare_job
from passerelle.domain.requests.spark import SparkPlace, spark_job
from passerelle.settings import GatherDropSettings, JobSettings


def with_engine(
    manifest: DropManifest, run: RunRef, project: Project, settings: GatherDropSettings
) -> tuple[DropManifest, dict[str, Any]]:
    """Return the manifest with the engine that is decided here, and the request of what prepares it.

    Without EMR Serverless nothing is decided: the job knows whether it has Spark.
    """
    if not settings.spark_application:
        return manifest, {"prepare_job": prepare_job(job_place(settings), run, project)}
    engine = choose_engine(
        project.data.engine,
        new_bytes=sum(file.size for file in manifest.new_files),
        earlier_rows=sum(file.rows for file in manifest.earlier_files),
        columns=len(project.data.columns),
        spark_at_hand=True,
        most_bytes=settings.spark_from_gb * 10**9,
    )
    decided = manifest.model_copy(update={"engine": engine.name, "engine_reason": engine.why})
    if engine.name == "duckdb":
        return decided, {"prepare_job": prepare_job(job_place(settings), run, project)}
    return decided, {"spark_job": spark_job(spark_place(settings), run, project)}


def spark_place(settings: GatherDropSettings) -> SparkPlace:
    """Return where Spark runs, in an environment that has it."""
    return SparkPlace(
        environment=settings.environment,
        region=settings.region,
        zones=settings.zones,
        application_id=settings.spark_application,
        role_arn=settings.spark_role_arn,
        kms_key_arn=settings.kms_key_arn,
    )


def job_place(settings: JobSettings) -> JobPlace:
    """Return where jobs run, as the request builders want it."""
    return JobPlace(
        environment=settings.environment,
        zones=settings.zones,
        image_uri=settings.image_uri,
        gpu_image_uri=settings.gpu_image_uri,
        role_arn=settings.job_role_arn,
        kms_key_arn=settings.kms_key_arn,
        prepare_instance_type=settings.prepare_instance_type,
        git_sha=settings.git_sha,
        lock_hash=settings.lock_hash,
        vpc=settings.vpc,
    )
