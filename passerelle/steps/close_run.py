"""End a run in good order: its final status, and the lock for the next one."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord, RunStatus
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
    project, run_id = request["project"], request["run_id"]
    table = RunsTable(client("dynamodb"), settings.runs_table)
    status = STATUSES[request["status"]]

    def update(record: RunRecord) -> RunRecord:
        return record.model_copy(update={"status": status, "error": None})

    with translated("closing a run"):
        table.change(project, run_id, update)
        table.delete(project, "LOCK", run_id=run_id)
    return {"project": project, "run_id": run_id, "status": status}
