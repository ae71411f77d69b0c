"""Say in a run's record why its execution failed, in words a person can act on, and free the project."""

from __future__ import annotations

import json
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts.runs import RunError, RunRecord
from passerelle.settings import FailRunSettings

_LOG_GROUPS: Final = {
    "prepare": "/aws/sagemaker/ProcessingJobs",
    "train": "/aws/sagemaker/TrainingJobs",
    "evaluate": "/aws/sagemaker/ProcessingJobs",
}
Answer = dict[str, Any]


def fail_run(event: dict[str, Any], settings: FailRunSettings) -> Answer:
    """Handle "Step Functions Execution Status Change": FAILED, TIMED_OUT or ABORTED.

    Executions of an earlier attempt, and of runs that ended meanwhile, change nothing. A failed deployment fails its
    pipeline too, whose own event comes here.
    """
    detail = event["detail"]
    request = json.loads(detail.get("input") or "{}")
    project, run_id = request.get("project"), request.get("run_id")
    if not project or not run_id:
        return {"outcome": "ignored", "why": "not an execution of a run"}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("failing a run"):
        record = table.get(project, run_id)
        if record is None or record.attempt != int(request["attempt"]):
            return {"outcome": "ignored", "why": "not the run's current attempt"}
        if record.execution_arn and record.execution_arn != detail["executionArn"]:
            return {"outcome": "ignored", "why": "not the run's pipeline"}
        now = client("stepfunctions").describe_execution(executionArn=detail["executionArn"])
        if now["status"] in ("RUNNING", "SUCCEEDED"):
            return {"outcome": "ignored", "why": "the execution was redriven"}
        error = _explain(record, now)

        def update(current: RunRecord) -> RunRecord:
            stages = tuple(
                stage.model_copy(update={"status": "failed", "ended_at": utc_now()})
                if stage.status == "running"
                else stage
                for stage in current.stages
            )
            return current.model_copy(update={"status": "failed", "error": error, "stages": stages})

        table.change(project, run_id, update)
        table.delete(project, "LOCK", run_id=run_id)
    return {"outcome": "failed", "project": project, "run_id": run_id, "message": error.message}


def _explain(record: RunRecord, execution: dict[str, Any]) -> RunError:
    stage = next((item for item in reversed(record.stages) if item.status == "running"), None)
    name = stage.stage if stage else "collect"
    cause = _readable(str(execution.get("cause") or ""))
    status, error = execution["status"], execution.get("error") or ""
    message = {
        "ABORTED": f"The execution was stopped. {cause}".strip(),
        "TIMED_OUT": "The execution exceeded its time limit.",
    }.get(status, f"{cause}" if cause else f"{error}")
    group = _LOG_GROUPS.get(name)
    return RunError(
        stage=name,
        message=message[:2_000],
        remedy=f"See `passerelle logs run {record.run_id}`; then `passerelle runs retry {record.run_id}`, "
        "which keeps the same files.",
        log_group=group,
        log_stream=stage.job_name if stage and group else None,
    )


def _readable(cause: str) -> str:
    """Return the human part of a cause: a Lambda's error message, or a SageMaker job's FailureReason."""
    try:
        document = json.loads(cause)
    except json.JSONDecodeError:
        return cause
    if not isinstance(document, dict):
        return cause
    if "errorMessage" in document:
        return f"{document.get('errorType', 'Error')}: {document['errorMessage']}"
    job = next((document[key] for key in ("TrainingJobName", "ProcessingJobName") if key in document), None)
    if job:
        reason = document.get("FailureReason") or document.get("ExitMessage") or "no reason was given"
        return f"{job}: {reason}"
    return _readable(document["Cause"]) if isinstance(document.get("Cause"), str) else cause
