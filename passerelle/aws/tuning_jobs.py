"""SageMaker tuning jobs: their trials as SageMaker describes them, and their end."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from passerelle.aws.clients import client

#: What there is nothing to stop of: it never started, or has ended.
_OVER: Final = ("ResourceNotFound", "ValidationException")


def trials_of(tuning_job: str) -> list[dict[str, Any]]:
    """Return the descriptions of all training jobs of a tuning job, in the order of their names."""
    sagemaker = client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    names = [
        job["TrainingJobName"]
        for page in pages.paginate(HyperParameterTuningJobName=tuning_job)
        for job in page["TrainingJobSummaries"]
    ]
    return [sagemaker.describe_training_job(TrainingJobName=name) for name in sorted(names)]


def stop_tuning(tuning_job: str) -> bool:
    """Stop a tuning job and its trials; returns False for one that has ended or never started."""
    try:
        client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning_job)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _OVER:
            raise
        return False
    return True
