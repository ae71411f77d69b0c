"""Read what `train` did; a job that did not complete ends the run with its reason; hand over to evaluation."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.contracts.container import RESULT_FILE, TrainResult
from passerelle.contracts.runs import RunRecord
from passerelle.domain.requests.jobs import RunRef, evaluate_job
from passerelle.errors import JobFailedError
from passerelle.settings import RecordTrainingSettings
from passerelle.steps.gather_drop import job_place
from passerelle.steps.project_source import read_project
from passerelle.steps.record_dataset import read_prepare_result
from passerelle.steps.run_stages import begin_stage, end_stage, job_fields


def record_training(request: dict[str, Any], settings: RecordTrainingSettings) -> dict[str, Any]:
    """Return the whole CreateProcessingJob request of `evaluate`.

    Raises JobFailedError for a job that Failed or Stopped: a spot job that exceeds its wait ends Stopped.
    """
    job = request["job"]
    status = job["TrainingJobStatus"]
    if status != "Completed":
        reason = job.get("FailureReason") or f"it ended {status} ({job.get('SecondaryStatus')})"
        raise JobFailedError(f"Training job {job['TrainingJobName']}: {reason}")
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
        table.change(project, run_id, update)
    return {**base, "evaluate_job": evaluation}


def read_train_result(output_path: str, job_name: str) -> TrainResult:
    """Return `result.json` out of the job's output.tar.gz."""
    bucket, key = zones.split_s3_uri(f"{output_path}/{job_name}/output/output.tar.gz")
    archive = Objects(client("s3")).read(bucket, key)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        member = tar.extractfile(RESULT_FILE)
        if member is None:
            raise JobFailedError(f"Training job {job_name} left no {RESULT_FILE}.")
        return TrainResult.model_validate_json(member.read())


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
