"""Say in a run's record why its execution failed, in words a person can act on, and free the project."""

from __future__ import annotations

import json
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.executions import AT_WORK, describe
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.aws.tuning_jobs import stop_tuning
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.settings import FailRunSettings
from passerelle.steps.explain_failure import explain
from passerelle.steps.run_stages import begin_stage

Answer = dict[str, Any]
#: What an execution that comes to nothing has changed nothing about. A run that failed may fail again, redriven.
_DONE: Final = tuple(status for status in FINAL_STATUSES if status != "failed")


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
        if record is None:
            # It failed before it could write its record; what it was to gather must not wait for it.
            table.delete(project, "OPEN", run_id=run_id)
            return {"outcome": "ignored", "why": "the run has no record"}
        attempt = int(request.get("attempt", 1))
        if record.attempt < attempt and record.status == "failed":
            record = _enter(table, record, attempt, detail["executionArn"])
        if record.attempt != attempt:
            return {"outcome": "ignored", "why": "not the run's current attempt"}
        if record.execution_arn and record.execution_arn != detail["executionArn"]:
            return {"outcome": "ignored", "why": "not the run's pipeline"}
        return fail(table, record, detail["executionArn"], settings.environment)


def _enter(table: RunsTable, record: RunRecord, attempt: int, execution_arn: str) -> RunRecord:
    """Write down a retry that ended before its first step could."""

    def update(current: RunRecord) -> RunRecord:
        if current.attempt >= attempt or current.status != "failed":
            return current
        fresh = {
            "attempt": attempt,
            "execution_arn": execution_arn,
            "status": "collecting",
            "stages": (),
            "error": None,
        }
        return begin_stage(current.model_copy(update=fresh), "collect")

    return table.change(record.project, record.run_id, update)


def fail(table: RunsTable, record: RunRecord, execution_arn: str, environment: str) -> Answer:
    """Fail a run if its execution has ended badly, or is gone."""
    if record.status in _DONE:
        return {"outcome": "ignored", "why": f"the run is {record.status}"}
    execution = describe(execution_arn)
    if execution and execution["status"] in AT_WORK:
        return {"outcome": "ignored", "why": "the execution was redriven"}
    if execution and execution["status"] == "SUCCEEDED":
        return {"outcome": "ignored", "why": "the execution succeeded after all"}
    # Its trials would go on, each on an instance of its own, for a run that is over.
    for stage in record.stages:
        if stage.stage == "tune" and stage.status == "running" and stage.job_name:
            stop_tuning(stage.job_name)
    error = explain(record, execution, environment)

    def update(current: RunRecord) -> RunRecord:
        if current.status in _DONE or current.attempt != record.attempt:
            return current
        stages = tuple(
            stage.model_copy(update={"status": "failed", "ended_at": utc_now()}) if stage.status == "running" else stage
            for stage in current.stages
        )
        return current.model_copy(update={"status": "failed", "error": error, "stages": stages})

    project, run_id = record.project, record.run_id
    if table.change(project, run_id, update).attempt != record.attempt:
        return {"outcome": "ignored", "why": "the next attempt has begun"}
    table.delete(project, "LOCK", run_id=run_id)
    # A run that failed while it waited has left its batch open: files that come now need another one.
    table.delete(project, "OPEN", run_id=run_id)
    return {"outcome": "failed", "project": project, "run_id": run_id, "message": error.message}
