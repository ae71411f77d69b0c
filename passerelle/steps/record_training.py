"""Read what `train` did; a job that did not complete ends the run with its reason; hand over to evaluation."""

from __future__ import annotations

from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord
from passerelle.contracts.study import WARM_START
from passerelle.domain.project.gpu_types import has_gpu
from passerelle.domain.requests.jobs import RunRef, evaluate_job, training_job
from passerelle.domain.training_tries import interruptions, next_try, once_more, try_of
from passerelle.errors import JobFailedError
from passerelle.settings import RecordTrainingSettings
from passerelle.steps.artefacts import seal_training
from passerelle.steps.job_results import read_prepare_result, read_train_result
from passerelle.steps.preparation import job_place
from passerelle.steps.project_lock import need_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.run_stages import add_try, begin_stage, end_tries, job_fields
from passerelle.steps.studies import keep_study, study_uri

#: Secondary status of a job that SageMaker ended -> what a project can change (API reference, DescribeTrainingJob).
_REMEDIES: Final = {
    "MaxWaitTimeExceeded": (
        "No spot instance was to be had for long enough: raise training.max_wait_minutes in project.yaml, or set "
        "training.spot to false, or let it fall back with training.on_demand_after_interruptions."
    ),
    "MaxRuntimeExceeded": "Raise training.max_runtime_minutes in project.yaml, or declare fewer candidates.",
}


def record_training(request: dict[str, Any], settings: RecordTrainingSettings) -> dict[str, Any]:
    """Return `trained` with the whole CreateProcessingJob request of `evaluate`, or `retry` with the next training job.

    Raises JobFailedError for a job that Failed or Stopped when nothing else is to be tried: a spot job that exceeds its
    wait ends Stopped.
    """
    job = request["job"]
    if job["TrainingJobStatus"] != "Completed":
        return _retry(request, settings)
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    deployed = read_project(settings.environment, project)
    result = read_train_result(job["OutputDataConfig"]["S3OutputPath"], job["TrainingJobName"])
    dataset = read_prepare_result(settings.zones["curated"], base)
    sealed = seal_training(settings.zones["models"], project, job["TrainingJobName"])
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
        summary = {"resumed": list(result.resumed), "interruptions": interruptions(job)}
        record = end_tries(record, "train", summary=summary, **job_fields("train", job, settings.region))
        record = begin_stage(record, "evaluate", job_name=evaluation["ProcessingJobName"])
        candidates = tuple(_candidate(item, result.metric) for item in result.candidates)
        image = job["AlgorithmSpecification"]["TrainingImage"]
        # A step that is tried again finds its own warnings.
        problems = (*record.problems, *(item for item in result.warnings if item not in record.problems))
        found = {"candidates": candidates, "chosen": result.chosen, "why": result.why, "image_uri": image}
        # What evaluates a model serves it: SageMaker's hosts without a GPU have no use for CUDA.
        on_gpu = has_gpu(job["ResourceConfig"]["InstanceType"])
        found["serving_image_uri"] = settings.image_uri if on_gpu else None
        found["problems"] = problems
        found["project_uri"] = _channel_uri(job, "project")
        return record.model_copy(update=found | {"artefacts": record.artefacts | sealed})

    with translated("recording a training job"):
        need_lock(table, base)
        table.change(project, run_id, update, attempt=attempt)
        keep_study(table, project, run_id, result.study)
    return {**base, "status": "trained", "evaluate_job": evaluation}


def _retry(request: dict[str, Any], settings: RecordTrainingSettings) -> dict[str, Any]:
    """Return the next training job; it goes on from the checkpoints of this one."""
    job, project, run_id, attempt = request["job"], request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    deployed = read_project(settings.environment, project)
    training = deployed.project.training
    table = RunsTable(client("dynamodb"), settings.runs_table)
    tried = try_of(job, int(request["training_try"]))
    following = next_try(training, tried, job)
    if following is None and _is_redriven(table.need(project, run_id), job["TrainingJobName"]):
        following = once_more(tried)
    if following is None:
        raise JobFailedError(f"Training job {job['TrainingJobName']}: {_why(job)}")
    run = RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri)
    dataset = read_prepare_result(settings.zones["curated"], base)
    points = str(job.get("HyperParameters", {}).get(WARM_START, ""))
    study = study_uri(settings.zones["curated"], run) if training.tuning else ""
    place = job_place(settings)
    again = training_job(place, run, deployed.project, dataset, following, warm_start=points, study_uri=study)
    spent = {**job_fields("train", job, settings.region), "why": _why(job), "interruptions": interruptions(job)}

    def update(record: RunRecord) -> RunRecord:
        return add_try(record, "train", spent, next_job=again["TrainingJobName"])

    with translated("recording a training job"):
        need_lock(table, base)
        table.change(project, run_id, update, attempt=attempt)
    return {
        **base,
        "status": "retry",
        "training_job": again,
        "training_try": following.number,
        "interruptions_allowed": training.on_demand_after_interruptions or 0,
    }


def _is_redriven(record: RunRecord, job_name: str) -> bool:
    """Has the run failed by this job before? Then its execution was redriven: the job's name is used up."""
    stage = next((item for item in record.stages if item.stage == "train"), None)
    if stage is None:
        return False
    failed_by_it = record.status == "failed" and stage.status == "failed" and stage.job_name == job_name
    return failed_by_it or any(item["job_name"] == job_name for item in stage.summary.get("tries", ()))


def _channel_uri(job: dict[str, Any], name: str) -> str | None:
    """Return where a job's channel comes from, as its description says it."""
    channels = [item for item in job.get("InputDataConfig", ()) if item["ChannelName"] == name]
    return str(channels[0]["DataSource"]["S3DataSource"]["S3Uri"]) if channels else None


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
