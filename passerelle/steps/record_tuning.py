"""Read the trials of a tuning job; hand over to the next one, or to training with the study of all.

A search that fails costs the run its tuned candidate and nothing else: the others are trained with their usual
parameters, and the run says why there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.aws.tuning_jobs import trials_of
from passerelle.contracts.container import Problem
from passerelle.contracts.runs import RunRecord
from passerelle.contracts.study import Study, TrialRecord
from passerelle.domain.cost.prices import job_cost
from passerelle.domain.project import Project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.requests.jobs import RunRef, training_job
from passerelle.domain.requests.tuning import early_stopping, strategy
from passerelle.domain.tuning.fleet import Share, joined, trial_of
from passerelle.domain.tuning.space import SPACES, Space
from passerelle.settings import RecordTuningSettings
from passerelle.steps.after_prepare import next_tuning, share_of, start_training, start_tuning, tuning_problem
from passerelle.steps.job_results import read_prepare_result
from passerelle.steps.preparation import job_place
from passerelle.steps.project_lock import need_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.run_stages import add_try, begin_stage, end_tries, moment
from passerelle.steps.studies import earlier_points, keep_parts, parts_of

_COMPONENT: Final = "SageMaker Training"


def record_tuning(request: dict[str, Any], settings: RecordTuningSettings) -> dict[str, Any]:
    """Return `tune` with the next tuning job, or `accepted` with the training job that takes over the best trial."""
    job, number, space = request["job"], int(request["tuning_number"]), SPACES[request["candidate"]]
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    deployed = read_project(settings.environment, project)
    dataset = read_prepare_result(settings.zones["curated"], base)
    run = RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri)
    bucket = settings.zones["curated"]
    done = parts_of(bucket, run, number - 1)
    given = share_of(settings, deployed.project, number=number, done=done)
    with translated("reading the trials of a tuning job"):
        study = _study(job, space, deployed.project, given, settings.region)
    uri, points = keep_parts(bucket, run, [*done, study]), earlier_points(table, project)
    following = next_tuning(settings, run, deployed.project, dataset, number=number + 1, done=[*done, study])
    training = training_job(job_place(settings), run, deployed.project, dataset, warm_start=points, study_uri=uri)
    spent = _spent(job, study, deployed.project)
    found = [
        *([_failed(job, space)] if study.best is None else []),
        *([following.problem] if following and following.why_not else []),
    ]

    def update(record: RunRecord) -> RunRecord:
        record = record.model_copy(
            update={"problems": (*record.problems, *(item for item in found if item not in record.problems))}
        )
        if following and following.request:
            next_job = following.request["HyperParameterTuningJobName"]
            return add_try(record, "tune", {**spent, "why": f"{space.candidate} is searched"}, next_job=next_job)
        record = end_tries(record, "tune", summary=_summary([*done, study]), **spent)
        return begin_stage(record, "train", job_name=training["TrainingJobName"])

    with translated("recording a tuning job"):
        need_lock(table, base)
        table.change(project, run_id, update, attempt=attempt)
    if following and following.request:
        return start_tuning(base, following)
    return start_training(base, training, deployed.project)


def _study(job: dict[str, Any], space: Space, project: Project, given: Share | str, region: str) -> Study:
    """Return what a tuning job found. One that SageMaker did not take, for a quota, was never created."""
    begun, ended = moment(job.get("CreationTime")), moment(job.get("HyperParameterTuningEndTime"))
    described = trials_of(job["HyperParameterTuningJobName"]) if begun else []
    trials = tuple(
        trial_of(item, space, number=number, begun=begun or datetime.now(UTC)) for number, item in enumerate(described)
    )
    tuning = project.training.tuning or Tuning()
    seconds = (ended - begun).total_seconds() if begun and ended else 0.0
    chosen = strategy(tuning, space)
    prunes = {"Auto": "median", "Off": "none"}[early_stopping(tuning, space)]
    return Study(
        metric=project.task.metric,
        greater_is_better=project.greater_is_better,
        sampler=chosen.lower(),
        pruner="hyperband" if chosen == "Hyperband" else prunes,
        trials=trials,
        ended_by=given.ended(trials=len(trials), seconds=seconds) if isinstance(given, Share) else None,
        seconds=seconds,
        usd=_usd(_billable(trials), project.training.instance_type, region),
        engine="sagemaker",
    ).with_best()


def _billable(trials: Sequence[TrialRecord]) -> float | None:
    """Return the seconds that SageMaker bills for trials; one unknown, all unknown. Of spot they hold the discount."""
    billed = [trial.billable_seconds for trial in trials]
    known = [seconds for seconds in billed if seconds is not None]
    return sum(known) if len(known) == len(billed) else None


def _usd(seconds: float | None, instance_type: str, region: str) -> float | None:
    return None if seconds is None else job_cost(_COMPONENT, instance_type, region, seconds)


def _spent(job: dict[str, Any], study: Study, project: Project) -> dict[str, Any]:
    """Return what the run's record says of a tuning job, as of any other job."""
    return {
        "job_name": job["HyperParameterTuningJobName"],
        "instance_type": project.training.instance_type,
        "billable_seconds": _billable(study.trials),
        "cost_usd": study.usd,
    }


def _failed(job: dict[str, Any], space: Space) -> Problem:
    """Say why a candidate has no trial with a score."""
    name, status = job["HyperParameterTuningJobName"], job["HyperParameterTuningJobStatus"]
    reason = job.get("FailureReason") or f"it ended {status} before a trial had a score"
    return tuning_problem(
        f"The search of {space.candidate} found nothing: tuning job {name}: {reason}",
        "The log streams of its trials (/aws/sagemaker/TrainingJobs, names that begin with the tuning job's) say more; "
        "the run goes on with the usual parameters.",
    )


def _summary(parts: Sequence[Study]) -> dict[str, Any]:
    whole = joined(parts)
    states = [trial.state for trial in whole.trials]
    best = whole.ranked()[:1]
    return {
        "trials": len(states),
        "failed": states.count("failed"),
        "best": {"candidate": best[0].candidate, "score": best[0].score, "params": best[0].params} if best else None,
        "ended_by": whole.ended_by,
    }
