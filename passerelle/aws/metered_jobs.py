"""Jobs that ended within a time: SageMaker's and EMR Serverless's, with descriptions and tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from passerelle.aws.clients import client, still_there, translated


@dataclass(frozen=True)
class Job:
    """A job as a list has it; `kind` is SageMaker's word: Training, Processing, Transform."""

    kind: str
    name: str
    arn: str


def ended_jobs(start: datetime, end: datetime) -> Iterator[Job]:
    """Yield the account's SageMaker jobs that ended from `start` until before `end`, those of others too.

    A job was created before it ended, and modified last when it ended or later.

    Raises TransientError when SageMaker does not answer.
    """
    sagemaker = client("sagemaker")
    bounds = {"CreationTimeBefore": end, "LastModifiedTimeAfter": start}
    with translated("SageMaker's jobs"):
        for page in sagemaker.get_paginator("list_training_jobs").paginate(**bounds):
            yield from _ended("Training", page["TrainingJobSummaries"], start, end)
        for page in sagemaker.get_paginator("list_processing_jobs").paginate(**bounds):
            yield from _ended("Processing", page["ProcessingJobSummaries"], start, end)
        for page in sagemaker.get_paginator("list_transform_jobs").paginate(**bounds):
            yield from _ended("Transform", page["TransformJobSummaries"], start, end)


def _ended(kind: str, summaries: list[dict[str, Any]], start: datetime, end: datetime) -> Iterator[Job]:
    for item in summaries:
        ended = item.get(f"{kind}EndTime")
        if ended is not None and start <= ended < end:
            yield Job(kind, item[f"{kind}JobName"], item[f"{kind}JobArn"])


def described(job: Job) -> dict[str, Any]:
    """Return SageMaker's description of a job; errors as for `tags_of`."""
    sagemaker = client("sagemaker")
    with still_there(f"job {job.name}"):
        if job.kind == "Training":
            return dict(sagemaker.describe_training_job(TrainingJobName=job.name))
        if job.kind == "Processing":
            return dict(sagemaker.describe_processing_job(ProcessingJobName=job.name))
        return dict(sagemaker.describe_transform_job(TransformJobName=job.name))


def job_tags(job: Job) -> dict[str, str]:
    """Return the tags of a job; errors as for `tags_of`."""
    if job.kind == "Training":
        return tags_of(job.arn, "training-job")
    return tags_of(job.arn, "processing-job") if job.kind == "Processing" else tags_of(job.arn, "transform-job")


def tags_of(arn: str, kind: str) -> dict[str, str]:
    """Return the tags of a SageMaker resource of a kind, such as `endpoint`.

    Raises TransientError when SageMaker does not answer, NotFoundError for what is gone since it was listed.
    """
    place, _, rest = arn.removeprefix("arn:").rpartition(":")
    found: dict[str, str] = {}
    with still_there(f"tags of {arn}"):
        # Put together again with its kind: the proof of roles reads here of what tags are asked for.
        pages = client("sagemaker").get_paginator("list_tags")
        for page in pages.paginate(ResourceArn=f"arn:{place}:{kind}/{rest.rpartition('/')[2]}"):
            found |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
    return found


def ended_spark_jobs(application_id: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    """Yield EMR Serverless's descriptions of the job runs of an application that ended from `start` until before `end`.

    Raises TransientError when EMR Serverless does not answer.
    """
    emr = client("emr-serverless")
    with translated(f"jobs of {application_id}"):
        pages = emr.get_paginator("list_job_runs").paginate(applicationId=application_id, createdAtBefore=end)
        for page in pages:
            for item in page["jobRuns"]:
                if item["state"] in ("SUCCESS", "FAILED", "CANCELLED") and start <= item["updatedAt"] < end:
                    asked = {"applicationId": application_id, "jobRunId": item["id"]}
                    yield dict(emr.get_job_run(**asked)["jobRun"])
