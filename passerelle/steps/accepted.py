"""Nothing is served that the gate has not passed, however a deployment was begun."""

from __future__ import annotations

from typing import Any

from passerelle.contracts import zones
from passerelle.contracts.runs import RunRecord
from passerelle.errors import InputError
from passerelle.steps.artefacts import BUNDLE, training_key


def need_accepted(record: RunRecord) -> None:
    """Let only a run go on whose model the gate passed.

    The state machines ask for the verdict before they deploy; this holds for an execution started by hand, too.

    Raises InputError with the gate's reasons.
    """
    status = record.gate.get("status")
    if status == "passed":
        return
    reasons = " ".join(record.gate.get("reasons", ()))
    why = f"The gate refused the model of run {record.run_id}: {reasons}".rstrip()
    if status is None:
        why = f"No gate has judged a model of run {record.run_id}."
    raise InputError(f"{why} It must not be served. `passerelle runs show {record.run_id}` tells more.")


def need_own_model(record: RunRecord, request: dict[str, Any]) -> None:
    """Let a passed run lend its verdict to its own model only: its version, the bundle that its job left.

    Raises InputError for another one.
    """
    project, version, uri = record.project, str(request["model_version"]), str(request["model_data_url"])
    if record.model_version not in (None, version):
        raise InputError(
            f"Run {record.run_id} made version {record.model_version} of {project}, not version {version}: its gate "
            f"says nothing of that. `passerelle promote {project} --version {version}` serves it, if it passed."
        )
    jobs = [stage.job_name for stage in record.stages if stage.stage == "train" and stage.job_name]
    own = [training_key(project, job, BUNDLE) for job in jobs]
    if own and zones.split_s3_uri(uri)[1] not in own:
        raise InputError(
            f"{uri} is not what run {record.run_id} trained, so its gate says nothing of it. It must not be served. "
            f"`passerelle promote {project} --version {version}` takes the right one."
        )
