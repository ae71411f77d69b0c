"""After data, a tuning job for each searched candidate; after the last, training with the study; none fails the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from laptop.sagemaker.validation import validate
from passerelle.contracts.runs import RunRecord, StageRecord
from passerelle.contracts.study import OBJECTIVE, STUDY_CHANNEL, TRIAL_ROUNDS, TUNED_CANDIDATE, Study
from passerelle.domain.tuning.space import SPACES
from passerelle.settings import RecordDatasetSettings, RecordTrainingSettings, RecordTuningSettings
from passerelle.steps import fail_run, record_tuning
from passerelle.steps.record_dataset import record_dataset
from passerelle.steps.record_training import record_training

from . import results
from .results import BASE, as_json
from .world import MOMENT, Aws

TUNING = {"engine": "sagemaker", "trials": 6, "minutes": 60, "candidates": ["logistic", "xgboost"], "parallel": 2}
TIMES = {"CreationTime": "2026-11-21T05:00:00Z", "HyperParameterTuningEndTime": "2026-11-21T05:10:00Z"}


def _begin(aws: Aws, **tuning: Any) -> dict[str, Any]:
    aws.deploy_project(training={"tuning": TUNING | tuning})
    aws.begin_run()
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    request = {**BASE, "job": results.processing_description("prepare")}
    return record_dataset(as_json(request), RecordDatasetSettings(**aws.jobs))


def _trial(name: str, candidate: str, score: float | None) -> dict[str, Any]:
    metrics = {} if score is None else {OBJECTIVE: score, TRIAL_ROUNDS: 135.0}
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": "Failed" if score is None else "Completed",
        "FailureReason": "CapacityError: no capacity" if score is None else None,
        "HyperParameters": {item.name: str(item.usual) for item in SPACES[candidate].dimensions},
        "FinalMetricDataList": [{"MetricName": key, "Value": value} for key, value in metrics.items()],
        "BillableTimeInSeconds": 360,
    }


def _record(
    aws: Aws, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *scores: float | None, **job: Any
) -> dict[str, Any]:
    """Let SageMaker say that the told tuning job has ended with these scores, and record it."""
    name = told["tuning_job"]["HyperParameterTuningJobName"]
    trials = [_trial(f"{name}-{number:03}", told["candidate"], score) for number, score in enumerate(scores)]
    monkeypatch.setattr(record_tuning, "trials_of", lambda _: trials)
    ended = {"HyperParameterTuningJobName": name, "HyperParameterTuningJobStatus": "Completed", **TIMES, **job}
    request = {**BASE, "tuning_job_name": name, "tuning_number": told["tuning_number"], "candidate": told["candidate"]}
    return record_tuning.record_tuning(as_json({**request, "job": ended}), RecordTuningSettings(**aws.jobs))


def _study(aws: Aws, request: dict[str, Any]) -> Study:
    """Return what the training job will find in its channel."""
    (uri,) = [
        item["DataSource"]["S3DataSource"]["S3Uri"]
        for item in request["training_job"]["InputDataConfig"]
        if item["ChannelName"] == STUDY_CHANNEL
    ]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return Study.model_validate_json(aws.s3.get_object(Bucket=bucket, Key=f"{key}/study.json")["Body"].read())


def _record_of(aws: Aws) -> RunRecord:
    return aws.table.need("flights", "r1")


def test_each_candidate_is_searched_by_a_job_of_its_own_and_training_is_given_all_trials(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _begin(aws)
    assert (first["status"], first["candidate"]) == ("tune", "logistic")
    second = _record(aws, first, monkeypatch, 0.7, 0.6, 0.65)
    assert (second["status"], second["candidate"], second["tuning_number"]) == ("tune", "xgboost", 2)
    for told in (first, second):
        validate("CreateHyperParameterTuningJob", told["tuning_job"])
        static = told["tuning_job"]["TrainingJobDefinition"]["StaticHyperParameters"]
        assert static[TUNED_CANDIDATE] == told["candidate"]
    limits = [told["tuning_job"]["HyperParameterTuningJobConfig"]["ResourceLimits"] for told in (first, second)]
    assert [(item["MaxNumberOfTrainingJobs"], item["MaxRuntimeInSeconds"]) for item in limits] == [(3, 1800), (3, 3000)]
    last = _record(aws, second, monkeypatch, 0.72, 0.8, 0.71)
    assert last["status"] == "accepted"
    validate("CreateTrainingJob", last["training_job"])
    study = _study(aws, last)
    assert [trial.score for trial in study.trials] == [0.7, 0.6, 0.65, 0.72, 0.8, 0.71]
    best = study.ranked()[0]
    assert (best.number, best.candidate, best.rounds, study.best) == (4, "xgboost", 135, 4)
    assert (study.seconds, study.ended_by, study.engine) == (1200.0, "trials", "sagemaker")


def test_the_seconds_and_the_cost_of_all_trials_stand_in_the_runs_record(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = _record(aws, _begin(aws), monkeypatch, 0.7, 0.6)
    last = _record(aws, second, monkeypatch, 0.8)
    # A step that is tried again changes nothing.
    assert _record(aws, second, monkeypatch, 0.8) == last
    stages = {stage.stage: stage for stage in _record_of(aws).stages}
    tune, prepare = stages["tune"], stages["prepare"].summary
    assert (tune.status, tune.billable_seconds) == ("done", 3 * 360)
    price = _study(aws, last).usd
    assert tune.cost_usd == pytest.approx(price)
    assert (price or 0) > 0
    assert tune.summary["best"]["candidate"] == "xgboost"
    assert stages["train"].status == "running"
    assert prepare["tuning_engine"] == "sagemaker"
    assert prepare["tuning_reason"] == "training.tuning.engine is sagemaker"


def test_a_search_that_finds_nothing_is_told_and_the_run_goes_on(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _begin(aws, candidates=["xgboost"])
    status = {"HyperParameterTuningJobStatus": "Failed", "FailureReason": "All training jobs failed"}
    last = _record(aws, told, monkeypatch, None, None, **status)
    assert last["status"] == "accepted"
    assert [trial.state for trial in _study(aws, last).trials] == ["failed", "failed"]
    (problem,) = [item for item in _record_of(aws).problems if item.code == "tuning"]
    assert "All training jobs failed" in problem.message
    assert problem.severity == "warning"


def test_a_job_that_found_no_quota_was_never_created_and_has_no_trials(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _begin(aws, candidates=["xgboost"])
    none = {
        "HyperParameterTuningJobStatus": "Failed",
        "FailureReason": "ResourceLimitExceeded: 0",
        "CreationTime": None,
    }
    last = _record(aws, told, monkeypatch, 0.9, **none)
    assert (last["status"], _study(aws, last).trials) == ("accepted", ())


def test_a_budget_too_small_for_tuning_jobs_leaves_the_search_to_the_training_job(aws: Aws) -> None:
    answer = _begin(aws, usd=0.001)
    assert answer["status"] == "accepted"
    channels = [item["ChannelName"] for item in answer["training_job"]["InputDataConfig"]]
    assert STUDY_CHANNEL not in channels
    (problem,) = [item for item in _record_of(aws).problems if item.code == "tuning"]
    assert "SageMaker runs a tuning job for 120 s or more" in problem.message


def test_a_later_try_of_training_finds_the_study_too(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.deploy_project()
    told = _begin(aws, candidates=["xgboost"])
    _record(aws, told, monkeypatch, 0.9)
    changes = {"tuning": TUNING, "spot": True, "fallback_instance_types": ["ml.m5.2xlarge"]}
    aws.deploy_project(training=changes)
    none = {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: no capacity", "SecondaryStatus": "Failed"}
    request = {**BASE, "training_job_name": "x", "training_try": 1, "job": results.training_description(aws, **none)}
    again = record_training(as_json(request), RecordTrainingSettings(**aws.jobs))
    assert again["status"] == "retry"
    assert _study(aws, again).ranked()[0].score == 0.9


@pytest.mark.parametrize(("status", "stopped"), [("running", ["r1-t1-1"]), ("done", [])])
def test_the_search_of_a_run_that_was_stopped_is_stopped_too(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, status: Any, stopped: list[str]
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(fail_run, "stop_tuning", lambda name: calls.append(name) or True)
    aws.begin_run(stages=(StageRecord(stage="tune", status=status, started_at=MOMENT, job_name="r1-t1-1"),))
    detail = {"input": json.dumps(BASE), "executionArn": aws.execution_arn("r1"), "status": "ABORTED"}
    monkeypatch.setattr(fail_run, "describe", lambda _: {"status": "ABORTED", "cause": ""})
    monkeypatch.setattr(fail_run, "explain", lambda *_: fail_run_error())
    fail_run.fail_run({"detail": detail}, fail_run.FailRunSettings(**aws.shared))
    assert calls == stopped


def fail_run_error() -> Any:
    from passerelle.contracts.runs import RunError

    return RunError(stage="tune", message="stopped", remedy="retry")
