"""Tell MLflow all about a run, and register its model. The files lie in S3: MLflow being down loses nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.executions import console_url
from passerelle.aws.experiment_log import ExperimentLog
from passerelle.aws.objects import Objects
from passerelle.aws.run_story import RunStory
from passerelle.aws.runs_table import RunsTable
from passerelle.aws.tracking_login import sign_in
from passerelle.contracts import naming, zones
from passerelle.contracts.archive import unpack
from passerelle.contracts.container import RESULT_FILE, USAGE_FILE, EvaluateResult, MachineUsage, TrainResult
from passerelle.contracts.runs import RunRecord
from passerelle.settings import RegisterModelSettings
from passerelle.steps.job_results import read_evaluate_result, read_prepare_result
from passerelle.steps.project_lock import need_lock
from passerelle.steps.run_stages import begin_stage, end_stage


def register_model(request: dict[str, Any], settings: RegisterModelSettings) -> dict[str, Any]:
    """Log every candidate, register the chosen one (refused or not), give it the alias `challenger` if it passed.

    Raises TransientError when MLflow does not answer; called again, it completes what is missing and doubles nothing.
    """
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("recording a registration"):
        need_lock(table, base)
        record = table.need(project, run_id)
    stages = {stage.stage: stage for stage in record.stages}
    # The last of its tries, if there were several.
    training_job = stages["train"].job_name
    output = f"{zones.training_output_prefix(project)}/{training_job}/output"
    with tempfile.TemporaryDirectory() as work:
        folder, evaluation = Path(work) / "training", Path(work) / "evaluation"
        objects, models = Objects(client("s3")), settings.zones["models"]
        archive = objects.download(models, f"{output}/output.tar.gz", Path(work) / "output.tar.gz")
        unpack(archive, folder)
        _download_evaluation(objects, settings, base, evaluation)
        story = RunStory(
            environment=settings.environment,
            project=project,
            run_id=run_id,
            attempt=attempt,
            git_sha=record.origin.git_sha if record.origin else settings.git_sha,
            lock_hash=record.origin.lock_hash if record.origin else settings.lock_hash,
            dataset=read_prepare_result(settings.zones["curated"], base),
            training=TrainResult.model_validate_json((folder / RESULT_FILE).read_text(encoding="utf-8")),
            evaluation=_judged(read_evaluate_result(settings.zones["curated"], base), record),
            training_folder=folder,
            evaluation_folder=evaluation,
            model_data_url=zones.s3_uri(models, f"{output}/model.tar.gz"),
            model_name=naming.registered_model_name(settings.environment, project),
            image_uri=record.image_uri or "",
            cost_usd=_jobs_cost(record),
            execution_arn=record.execution_arn or "",
            execution_url=_execution_url(record, settings.environment),
            usage=_usage(folder),
            origin=record.origin,
        )
        sign_in(settings.tracking_secret)
        registered = ExperimentLog(settings.tracking_uri).tell(story)

    def update(record: RunRecord) -> RunRecord:
        record = end_stage(record, "register")
        if story.evaluation.status == "passed":
            record = begin_stage(record, "deploy")
        return record.model_copy(update={"mlflow_url": registered.run_url, "model_version": registered.version})

    with translated("recording a registration"):
        table.change(project, run_id, update, attempt=attempt)
    return {
        **base,
        "status": story.evaluation.status,
        "model_version": registered.version,
        "model_data_url": story.model_data_url,
    }


def _jobs_cost(record: RunRecord) -> float | None:
    """Return what the run's jobs cost so far; None, which is not zero, when one of them has an unknown price."""
    costs = [stage.cost_usd for stage in record.stages if stage.instance_type is not None]
    return None if None in costs or not costs else sum(cost for cost in costs if cost is not None)


def _execution_url(record: RunRecord, environment: str) -> str:
    """Return the execution's page in the AWS console; the laptop has none."""
    return "" if environment == "laptop" or not record.execution_arn else console_url(record.execution_arn)


def _usage(folder: Path) -> MachineUsage | None:
    """Return what the training job used of its machine, if it could tell."""
    path = folder / USAGE_FILE
    return MachineUsage.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def _judged(evaluation: EvaluateResult, record: RunRecord) -> EvaluateResult:
    """A model that was carried here passed its gate where it was trained, and may have been refused here."""
    if record.origin is None:
        return evaluation
    verdict = {"status": record.gate["status"], "reasons": tuple(record.gate.get("reasons", ()))}
    return evaluation.model_copy(update=verdict)


def _download_evaluation(objects: Objects, settings: RegisterModelSettings, base: dict[str, Any], target: Path) -> None:
    bucket = settings.zones["curated"]
    prefix = zones.result_prefix(base["project"], base["run_id"], base["attempt"], "evaluate")
    for key in objects.keys(bucket, f"{prefix}/"):
        objects.download(bucket, key, target / key[len(prefix) + 1 :])
