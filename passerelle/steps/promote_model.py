"""Make what the endpoint now serves the champion, in the registry and in the runs table."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.experiment_log import ExperimentLog
from passerelle.aws.runs_table import RunsTable, need_attempt, utc_now
from passerelle.aws.tracking_login import sign_in
from passerelle.contracts import naming
from passerelle.contracts.promotions import PREFIX, Asked, Promotion
from passerelle.contracts.runs import RunRecord
from passerelle.settings import PromoteModelSettings
from passerelle.steps.ab_tests import end
from passerelle.steps.accepted import need_accepted
from passerelle.steps.run_stages import end_stage


def promote_model(request: dict[str, Any], settings: PromoteModelSettings) -> dict[str, Any]:
    """Move the aliases (champion, and archived for the one before), remember the champion, and who asked for it.

    Raises TransientError when MLflow does not answer (called again, it changes nothing), InputError for a model that
    the gate has not passed.
    """
    project, run_id, version = request["project"], request["run_id"], str(request["model_version"])
    name = naming.registered_model_name(settings.environment, project)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    asked = Asked.model_validate(request.get("asked", {}))
    champion = {
        "run_id": run_id,
        "model_version": version,
        "model_data_url": request["model_data_url"],
        "endpoint_name": request["endpoint_name"],
        "endpoint_config": request["endpoint"]["EndpointConfigName"],
    }

    def update(record: RunRecord) -> RunRecord:
        return end_stage(record, "deploy").model_copy(update={"endpoint_name": request["endpoint_name"]})

    with translated("promoting a model"):
        record = table.need(project, run_id)
        need_attempt(record, int(request["attempt"]))
        need_accepted(record)
        sign_in(settings.tracking_secret)
        ExperimentLog(settings.tracking_uri).promote(name, version)
        before = table.item(project, "CHAMPION") or {}
        if {key: before.get(key) for key in champion} != champion:
            moment = utc_now()
            promotion = Promotion(
                version=version, run_id=run_id, at=moment, asked=asked, before=before.get("model_version")
            )
            # First: what is served must never lack its entry. One that is written twice says the same twice.
            table.put(project, f"{PREFIX}{moment}", promotion=promotion.model_dump_json())
            table.put(project, "CHAMPION", **champion, promoted_at=moment)
        end(table, project, served=version, asked=asked)
        table.change(project, run_id, update, attempt=int(request["attempt"]))
    return {
        "project": project,
        "run_id": run_id,
        "model_version": version,
        "endpoint_name": request["endpoint_name"],
        **asked.model_dump(),
    }
