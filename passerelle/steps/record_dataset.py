"""Read what `prepare` found; accept the files, or end the run with the reasons; hand over to tuning or training."""

from __future__ import annotations

from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.aws.spark_runs import billed as billed_of
from passerelle.contracts.container import PrepareResult
from passerelle.contracts.runs import RunFile, RunRecord
from passerelle.domain.cost.spark import SERVICE, spark_costs, whole_cost
from passerelle.domain.project import Project
from passerelle.domain.requests.jobs import RunRef, training_job
from passerelle.domain.tuning.engine import Engine, choose_engine
from passerelle.settings import RecordDatasetSettings
from passerelle.steps.after_prepare import NextTuning, next_tuning, start_training, start_tuning
from passerelle.steps.job_results import read_prepare_result
from passerelle.steps.preparation import job_place
from passerelle.steps.project_lock import need_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.run_stages import begin_stage, end_stage, job_fields
from passerelle.steps.studies import earlier_points


def record_dataset(request: dict[str, Any], settings: RecordDatasetSettings) -> dict[str, Any]:
    """Return `accepted` with the CreateTrainingJob request, `tune` with that of a tuning job, `kept` or `rejected`.

    Files count as accepted from here on: their rows are curated, whatever becomes of the models.
    """
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    result = read_prepare_result(settings.zones["curated"], base)
    deployed = read_project(settings.environment, project)
    run = RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri)
    job, tuning, summary = None, None, _summary(result)
    kept = result.status == "accepted" and _is_kept(table, base, deployed.project)
    if result.status == "accepted" and not kept:
        points = earlier_points(table, project) if deployed.project.training.tuning else ""
        job = training_job(job_place(settings), run, deployed.project, result, warm_start=points)
        tuning, engine = _tuning(settings, run, deployed.project, result)
        summary |= (
            {"tuning_engine": engine.name, "tuning_reason": engine.why} if deployed.project.training.tuning else {}
        )

    billed, fields = _spent(request, settings)

    def update(record: RunRecord) -> RunRecord:
        record = end_stage(record, "prepare", summary=summary | billed, **fields)
        if tuning and tuning.request:
            record = begin_stage(record, "tune", job_name=tuning.request["HyperParameterTuningJobName"])
        elif job:
            record = begin_stage(record, "train", job_name=job["TrainingJobName"])
        outcomes = {outcome.key: outcome for outcome in result.files}
        found = [*result.problems, *([tuning.problem] if tuning and tuning.why_not else [])]
        return record.model_copy(
            update={
                "dataset_id": result.dataset_id,
                # Those of gathering stay; those of this result are there once, however often it is read.
                "problems": (*(item for item in record.problems if item not in found), *found),
                "quarantine_uri": result.quarantine_uri,
                "files": tuple(_with_outcome(file, outcomes.get(file.key)) for file in record.files),
            }
        )

    with translated("recording a dataset"):
        need_lock(table, base)
        if result.status == "accepted":
            accepted = {outcome.key for outcome in result.files if outcome.status == "accepted"}
            table.accept_files(project, result.dataset_files, new=accepted)
        table.change(project, run_id, update, attempt=attempt)
    if job is None:
        return {**base, "status": "kept" if kept else result.status}
    return start_tuning(base, tuning) if tuning and tuning.request else start_training(base, job, deployed.project)


def _is_kept(table: RunsTable, base: dict[str, Any], project: Project) -> bool:
    """Return whether a drop's rows wait for the next training: a project without a model learns from its first."""
    if project.training.on_drop == "train":
        return False
    with translated(f"champion of {project.name}"):
        asked = table.need(project.name, base["run_id"]).why_begun
        return not asked and table.item(project.name, "CHAMPION") is not None


def _tuning(
    settings: RecordDatasetSettings, run: RunRef, project: Project, dataset: PrepareResult
) -> tuple[NextTuning | None, Engine]:
    """Return the first tuning job, where the search is not the training job's, and why it is where it is."""
    engine = choose_engine(project, rows=dataset.split["train"].rows)
    if engine.name == "job":
        return None, engine
    return next_tuning(settings, run, project, dataset, number=1), engine


def _spent(request: dict[str, Any], settings: RecordDatasetSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is to be said of the resources, and the stage's fields."""
    if not settings.spark_application or "spark_run" not in request:
        return {}, job_fields("prepare", request["job"], settings.region)
    job_run_id = request["spark_run"]
    with translated("reading what Spark was billed for"):
        used = billed_of(settings.spark_application, job_run_id)
    parts = spark_costs(used, settings.region, "prepare")
    fields = {"job_name": job_run_id, "instance_type": SERVICE, "cost_usd": whole_cost(parts)}
    return {"billed": [part.model_dump() for part in parts]}, fields


def _with_outcome(file: RunFile, outcome: Any) -> RunFile:
    if outcome is None or file.outcome != "pending":
        return file
    rows = {"rows_accepted": outcome.rows_accepted, "rows_rejected": outcome.rows_rejected}
    return file.model_copy(update={"outcome": outcome.status, **rows})


def _summary(result: PrepareResult) -> dict[str, Any]:
    return {
        "rows_read": result.rows_read,
        "rows_accepted": result.rows_accepted,
        "rows_rejected": result.rows_rejected,
        "rows_without_label": result.rows_without_label,
        "duplicate_rows": result.duplicate_rows,
        "dropped_columns": result.dropped_columns,
        "engine": result.engine,
        "engine_reason": result.engine_reason,
        "split": {name: part.rows for name, part in result.split.items()},
    }
