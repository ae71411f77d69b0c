"""EMR Serverless: what a job run was billed for."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import client, is_transient
from passerelle.domain.cost.spark import Billed
from passerelle.errors import TransientError


def billed(application_id: str, job_run_id: str) -> Billed | None:
    """Return what EMR Serverless says that it bills; None while it does not say so.

    Raises TransientError when it does not answer.
    """
    try:
        run = client("emr-serverless").get_job_run(applicationId=application_id, jobRunId=job_run_id)["jobRun"]
    except ClientError as error:
        if is_transient(error):
            raise TransientError(f"job run {job_run_id}: {error}") from error
        raise
    except BotoCoreError as error:
        raise TransientError(f"job run {job_run_id}: EMR Serverless does not answer: {error}") from error
    found = run.get("billedResourceUtilization")
    if not found or "vCPUHour" not in found or "memoryGBHour" not in found:
        return None
    return Billed(
        vcpu_hours=found["vCPUHour"],
        memory_gb_hours=found["memoryGBHour"],
        storage_gb_hours=found.get("storageGBHour", 0.0),
    )
