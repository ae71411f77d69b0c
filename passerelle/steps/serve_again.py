"""Serve a registered version without training: the same deployment as at the end of a run, for a model that exists."""

from __future__ import annotations

from typing import Any

from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.runs import RunRecord
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.artefacts import BUNDLE, training_key


def deployment_request(table: RunsTable, models_bucket: str, project: str, version: str | None) -> dict[str, Any]:
    """Return the deploy state machine's input for a version of a project, None for the one that was served last.

    Raises NotFoundError when there is no such version, InputError for one that the gate refused.
    """
    champion = table.item(project, "CHAMPION")
    if version is None:
        if champion is None:
            raise NotFoundError(
                f"Project {project} has served no model yet. Drop data: `passerelle drop {project} FILE`."
            )
        version = str(champion["model_version"])
    records = [record for record in table.newest(project, limit=1000) if record.model_version is not None]
    found = next((record for record in records if record.model_version == version), None)
    if found is None:
        known = ", ".join(f"{record.model_version} (run {record.run_id})" for record in records[:10]) or "none"
        raise NotFoundError(f"Project {project} has no registered version {version}; newest: {known}.")
    if found.gate.get("status") != "passed":
        raise InputError(
            f"The gate refused version {version} of {project} (run {found.run_id}): it must not be served. "
            f"`passerelle runs show {found.run_id}` says why."
        )
    if champion is not None and str(champion["model_version"]) == version:
        bundle = str(champion["model_data_url"])
    else:
        bundle = _bundle(found, models_bucket)
    return {
        "project": project,
        "run_id": found.run_id,
        "attempt": found.attempt,
        "model_version": version,
        "model_data_url": bundle,
    }


def _bundle(record: RunRecord, models_bucket: str) -> str:
    job = next((stage.job_name for stage in record.stages if stage.stage == "train"), None)
    if job is None:
        raise InputError(f"Run {record.run_id} does not say which job trained its model: drop its data again.")
    return zones.s3_uri(models_bucket, training_key(record.project, job, BUNDLE))
