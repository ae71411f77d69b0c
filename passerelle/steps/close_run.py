"""End a run in good order: its final status, and the lock for the next one."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord, RunStatus
from passerelle.errors import InputError
from passerelle.settings import CloseRunSettings

#: What the last state says -> the run's final status.
STATUSES: Final[dict[str, RunStatus]] = {
    "passed": "succeeded",
    "refused": "refused",
    "rejected": "rejected",
    "duplicate": "duplicate",
}


def close_run(request: dict[str, Any], settings: CloseRunSettings) -> dict[str, Any]:
    """Write the final status and release the project's lock."""
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    table = RunsTable(client("dynamodb"), settings.runs_table)
    if request["status"] not in STATUSES:
        raise InputError(
            f"Run {run_id} cannot be closed with status {request['status']!r}; known: {', '.join(STATUSES)}. The state "
            "machine and the functions must be of one version: deploy both, then redrive the execution."
        )
    status = STATUSES[request["status"]]

    def update(record: RunRecord) -> RunRecord:
        return record.model_copy(update={"status": status, "error": None})

    with translated("closing a run"):
        table.change(project, run_id, update, attempt=attempt)
        table.delete(project, "LOCK", run_id=run_id)
    return {"project": project, "run_id": run_id, "status": status}
