"""Turn what Step Functions knows of a failed execution into a message, a remedy and the place of the log."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from passerelle.aws.log_streams import console_link, newest_stream
from passerelle.contracts import naming, zones
from passerelle.contracts.runs import RunError, RunRecord, StageRecord

_JOB_GROUPS: Final = {
    "prepare": "/aws/sagemaker/ProcessingJobs",
    "tune": "/aws/sagemaker/TrainingJobs",
    "train": "/aws/sagemaker/TrainingJobs",
    "evaluate": "/aws/sagemaker/ProcessingJobs",
}
_ENDPOINT_GROUP: Final = "/aws/sagemaker/Endpoints"
#: What SageMaker says when an account's quota is reached (ResourceLimitExceeded).
_QUOTA: Final = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<limit>[\d.]+)")
MAX_MESSAGE: Final = 2_000


def explain(record: RunRecord, execution: dict[str, Any] | None, environment: str) -> RunError:
    """Return why a run's execution failed; `execution` is None when Step Functions knows it no more."""
    stage = _failed_stage(record)
    name = stage.stage if stage else "collect"
    cause = str((execution or {}).get("cause") or "")
    group, prefix = _log_place(name, stage, cause, record, environment)
    stream = newest_stream(group, prefix) if group else None
    return RunError(
        stage=name,
        message=_message(execution, _readable(cause))[:MAX_MESSAGE],
        remedy=_spark_remedy(record, cause) or _remedy(record, cause),
        log_group=group,
        log_stream=stream,
        log_url=console_link(group, stream) if group and stream else None,
    )


def _failed_stage(record: RunRecord) -> StageRecord | None:
    """Return the stage that was at work; after a redrive that came to nothing, the one that had failed before."""
    wanted = [item for item in record.stages if item.status == "running"] or [
        item for item in record.stages if item.status == "failed"
    ]
    return wanted[-1] if wanted else None


def _message(execution: dict[str, Any] | None, cause: str) -> str:
    if execution is None:
        return "The execution is gone: it was deleted, or its history is older than Step Functions keeps it."
    if execution["status"] == "ABORTED":
        return f"The execution was stopped. {cause}".strip()
    if execution["status"] == "TIMED_OUT":
        return "The execution exceeded its time limit."
    return cause or str(execution.get("error") or "The execution failed, and Step Functions says no reason.")


def _remedy(record: RunRecord, cause: str) -> str:
    retry = f"`passerelle runs retry {record.run_id}`, which keeps the same files."
    if record.origin:
        again = f"passerelle carry {record.project} {record.run_id} --from {record.origin.environment}"
        retry = f"`{again}`, which goes on where this ended."
    quota = _QUOTA.search(cause)
    if quota:
        return (
            f"The account's quota {quota['quota']!r} is {quota['limit']}. Ask for more in Service Quotas (AWS console) "
            f"or wait for what uses it, or choose another instance type in project.yaml; then {retry}"
        )
    return f"See `passerelle logs run {record.run_id}`; then {retry}"


def _spark_remedy(record: RunRecord, cause: str) -> str | None:
    """Return where a Spark job's log lies (EMR Serverless user guide, "Storing logs"); None for another job."""
    document = _document(cause) or {}
    if "JobRunId" not in document:
        return None
    prefix = zones.spark_logs_prefix(record.project, record.run_id, record.attempt)
    place = f"{prefix}/applications/{document.get('ApplicationId', '...')}/jobs/{document['JobRunId']}/SPARK_DRIVER/"
    retry = f"`passerelle runs retry {record.run_id}`, which keeps the same files."
    return f"See stderr.gz in the curated bucket, {place}; then {retry}"


def _log_place(
    name: str, stage: StageRecord | None, cause: str, record: RunRecord, environment: str
) -> tuple[str | None, str]:
    """Return the log group of a stage and how its streams' names begin (SageMaker: `<job>/...`)."""
    if "JobRunId" in (_document(cause) or {}):
        return None, ""
    if name in _JOB_GROUPS:
        job = _job_of(cause) or (stage.job_name if stage else None)
        # Trials have names of their own, which begin with their tuning job's.
        end = "-" if name == "tune" else "/"
        return _JOB_GROUPS[name], f"{job}{end}" if job else ""
    if name == "deploy":
        return f"{_ENDPOINT_GROUP}/{naming.endpoint_name(environment, record.project)}", ""
    return None, ""


def _document(cause: str) -> dict[str, Any] | None:
    try:
        document = json.loads(cause)
    except json.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _job_of(cause: str) -> str | None:
    """Return the job that a cause describes: a redriven one has another name than the stage's first."""
    document = _document(cause) or {}
    return next((str(document[key]) for key in ("TrainingJobName", "ProcessingJobName") if key in document), None)


def _readable(cause: str) -> str:
    """Return the human part of a cause: a Lambda's error message, or a SageMaker job's FailureReason."""
    document = _document(cause)
    if document is None:
        return cause
    if "errorMessage" in document:
        return f"{document.get('errorType', 'Error')}: {document['errorMessage']}"
    if "JobRunId" in document:
        return f"Spark job run {document['JobRunId']}: {document.get('StateDetails', 'no reason was given')}"
    job = _job_of(cause)
    if job:
        reason = document.get("FailureReason") or document.get("ExitMessage") or "no reason was given"
        return f"{job}: {reason}"
    return _readable(document["Cause"]) if isinstance(document.get("Cause"), str) else cause
