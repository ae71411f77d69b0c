"""End a run in good order: its final status, and the lock for the next one."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.execution_usage import usage_of
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord, RunStatus
from passerelle.errors import InputError
from passerelle.settings import CloseRunSettings
from passerelle.steps.run_costs import run_cost

#: What the last state says -> the run's final status.
STATUSES: Final[dict[str, RunStatus]] = {
    "passed": "succeeded",
    "refused": "refused",
    "rejected": "rejected",
    "duplicate": "duplicate",
    "kept": "kept",
}


def close_run(request: dict[str, Any], settings: CloseRunSettings) -> dict[str, Any]:
    """Write the final status and what the run has cost, and release the project's lock."""
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    table = RunsTable(client("dynamodb"), settings.runs_table)
    if request["status"] not in STATUSES:
        raise InputError(
            f"Run {run_id} cannot be closed with status {request['status']!r}; known: {', '.join(STATUSES)}. The state "
            "machine and the functions must be of one version: deploy both, then redrive the execution."
        )
    status = STATUSES[request["status"]]

    with translated("closing a run"):
        before = table.need(project, run_id)
        usage = usage_of(before.execution_arn) if before.execution_arn else None
        region = client("stepfunctions").meta.region_name

        def update(record: RunRecord) -> RunRecord:
            cost = record.cost or run_cost(record, usage, region)
            return record.model_copy(update={"status": status, "error": None, "cost": cost})

        table.change(project, run_id, update, attempt=attempt)
        table.delete(project, "LOCK", run_id=run_id)
    return {"project": project, "run_id": run_id, "status": status}
