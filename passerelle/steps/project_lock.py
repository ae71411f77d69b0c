"""One run of a project is at work at a time."""

from __future__ import annotations

from typing import Any

from passerelle.aws.executions import is_running
from passerelle.aws.runs_table import RunsTable, need_attempt, utc_now
from passerelle.contracts.runs import FINAL_STATUSES
from passerelle.errors import TransientError


def take_lock(table: RunsTable, project: str, run_id: str, attempt: int, execution_arn: str) -> bool:
    """Take the project's lock, or find it taken by this run; a run whose execution is gone does not hold it."""
    mine = {"run_id": run_id, "attempt": attempt, "execution_arn": execution_arn, "taken_at": utc_now()}
    if table.replace(project, "LOCK", holder=run_id, **mine):
        return True
    holder = table.item(project, "LOCK")
    if holder is None:
        return table.create(project, "LOCK", **mine)
    if _is_at_work(table, project, holder):
        return False
    return table.delete(project, "LOCK", run_id=holder["run_id"]) and table.create(project, "LOCK", **mine)


def need_lock(table: RunsTable, base: dict[str, Any]) -> None:
    """Let a step of a run's current attempt go on.

    A run that failed has given its lock back; when its execution is redriven, it takes it again.

    Raises InputError for an earlier attempt, TransientError while another run is at work.
    """
    project, run_id, attempt = base["project"], base["run_id"], base["attempt"]
    record = table.need(project, run_id)
    need_attempt(record, attempt)
    if record.status != "failed" or take_lock(table, project, run_id, attempt, record.execution_arn or ""):
        return
    holder = (table.item(project, "LOCK") or {}).get("run_id", "another run")
    raise TransientError(
        f"Run {run_id} cannot go on while {holder} of project {project} is at work. Redrive it when that one has ended."
    )


def _is_at_work(table: RunsTable, project: str, holder: dict[str, Any]) -> bool:
    record = table.get(project, holder["run_id"])
    if record and record.status in FINAL_STATUSES:
        return False
    arn = holder.get("execution_arn")
    return is_running(arn) if arn else True
