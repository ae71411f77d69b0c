"""Read what `train` did; a job that did not complete ends the run with its reason; hand over to evaluation."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord
from passerelle.domain.requests.jobs import RunRef, evaluate_job
from passerelle.errors import JobFailedError
from passerelle.settings import RecordTrainingSettings
from passerelle.steps.gather_drop import job_place
from passerelle.steps.job_results import read_prepare_result, read_train_result
from passerelle.steps.project_lock import need_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.run_stages import begin_stage, end_stage, job_fields

#: Secondary status of a job that SageMaker ended -> what a project can change (API reference, DescribeTrainingJob).
_REMEDIES: Final = {
    "MaxWaitTimeExceeded": (
        "No spot instance was to be had for long enough: raise training.max_wait_minutes in project.yaml, or set "
        "training.spot to false."
    ),
    "MaxRuntimeExceeded": "Raise training.max_runtime_minutes in project.yaml, or declare fewer candidates.",
}


def record_training(request: dict[str, Any], settings: RecordTrainingSettings) -> dict[str, Any]:
    """Return the whole CreateProcessingJob request of `evaluate`.

    Raises JobFailedError for a job that Failed or Stopped: a spot job that exceeds its wait ends Stopped.
    """
    job = request["job"]
    status = job["TrainingJobStatus"]
    if status != "Completed":
        raise JobFailedError(f"Training job {job['TrainingJobName']}: {_why(job)}")
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    deployed = read_project(settings.environment, project)
    result = read_train_result(job["OutputDataConfig"]["S3OutputPath"], job["TrainingJobName"])
    dataset = read_prepare_result(settings.zones["curated"], base)
    champion = table.item(project, "CHAMPION") or {}
    evaluation = evaluate_job(
        job_place(settings),
        RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri),
        deployed.project,
        training_job=job["TrainingJobName"],
        test_uri=dataset.split["test"].uri,
        champion_uri=champion.get("model_data_url"),
    )

    def update(record: RunRecord) -> RunRecord:
        summary = {"resumed": list(result.resumed), "interruptions": _interruptions(job)}
        record = end_stage(record, "train", summary=summary, **job_fields("train", job, settings.region))
        record = begin_stage(record, "evaluate", job_name=evaluation["ProcessingJobName"])
        candidates = tuple(_candidate(item, result.metric) for item in result.candidates)
        return record.model_copy(update={"candidates": candidates, "chosen": result.chosen, "why": result.why})

    with translated("recording a training job"):
        need_lock(table, base)
        table.change(project, run_id, update, attempt=attempt)
    return {**base, "evaluate_job": evaluation}


def _why(job: dict[str, Any]) -> str:
    """Return why a job did not complete, and what helps where SageMaker's status says it."""
    secondary = str(job.get("SecondaryStatus") or "no reason is given")
    reason = job.get("FailureReason") or f"it ended {job['TrainingJobStatus']} ({secondary})."
    remedy = _REMEDIES.get(secondary)
    return f"{reason} {remedy}" if remedy else str(reason)


def _candidate(item: Any, metric: str) -> dict[str, Any]:
    return {
        "name": item.name,
        "status": item.status,
        "score": item.validation_metrics.get(metric),
        "standard_error": item.primary_standard_error,
        "seconds": round(item.seconds, 2),
        "error": item.error,
    }


def _interruptions(job: dict[str, Any]) -> int:
    return sum(part["Status"] == "Interrupted" for part in job.get("SecondaryStatusTransitions", ()))
