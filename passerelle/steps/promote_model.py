"""Make what the endpoint now serves the champion, in the registry and in the runs table."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.experiment_log import ExperimentLog
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts import naming
from passerelle.contracts.runs import RunRecord
from passerelle.settings import PromoteModelSettings
from passerelle.steps.run_stages import end_stage


def promote_model(request: dict[str, Any], settings: PromoteModelSettings) -> dict[str, Any]:
    """Move the aliases (champion, and archived for the one before) and remember the champion.

    Raises TransientError when MLflow does not answer; called again, it changes nothing.
    """
    project, run_id, version = request["project"], request["run_id"], str(request["model_version"])
    name = naming.registered_model_name(settings.environment, project)
    ExperimentLog(settings.tracking_uri).promote(name, version)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("promoting a model"):
        table.put(
            project,
            "CHAMPION",
            run_id=run_id,
            model_version=version,
            model_data_url=request["model_data_url"],
            endpoint_name=request["endpoint_name"],
            promoted_at=utc_now(),
        )

        def update(record: RunRecord) -> RunRecord:
            return end_stage(record, "deploy").model_copy(update={"endpoint_name": request["endpoint_name"]})

        table.change(project, run_id, update)
    return {"project": project, "run_id": run_id, "model_version": version, "endpoint_name": request["endpoint_name"]}
