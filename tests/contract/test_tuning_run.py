"""A whole run with `engine: sagemaker`: the real definition, handlers, jobs and MLflow; trials are jobs of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from passerelle.aws.objects import Objects
from passerelle.contracts import naming, zones
from passerelle.contracts.container import TrainResult
from passerelle.contracts.runs import RunRecord
from passerelle.contracts.study import Study
from passerelle.steps.archives import read_member
from passerelle.steps.studies import earlier_points
from tests.contract.test_steps_handlers import Whole, whole
from tests.e2e.projects import as_csv, make_rows, project_document
from tests.laptop_platform import wait_for
from tests.unit.steps.machine import Machine

__all__ = ["whole"]
TUNING = {
    "engine": "sagemaker", "trials": 3, "minutes": 20, "parallel": 2, "candidates": ["hist_gradient_boosting"],
}  # fmt: skip
ENDED = ("Completed", "Failed", "Stopped")


class Jobs:
    """SageMaker's jobs as the states ask for them: each Describe is the one of a job that has ended."""

    def __init__(self, world: Whole) -> None:
        self.sagemaker = world.platform.client("sagemaker")
        self.asked: dict[str, Any] = {}

    def processing(self, request: dict[str, Any]) -> dict[str, Any]:
        self.sagemaker.create_processing_job(**request)
        return self._ended("processing_job", ProcessingJobName=request["ProcessingJobName"])

    def start(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def create(request: dict[str, Any]) -> dict[str, Any]:
            self.asked[operation] = request
            return _told(getattr(self.sagemaker, f"create_{operation}")(**request))

        return create

    def describe(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda request: self._ended(operation, **request)

    def _ended(self, operation: str, **name: str) -> dict[str, Any]:
        status = next(iter(name)).replace("Name", "Status")
        describe = getattr(self.sagemaker, f"describe_{operation}")
        return _told(wait_for(lambda: (job := describe(**name))[status] in ENDED and job, 240))


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    """What Step Functions makes of an answer: times as ISO 8601 text."""
    known = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    text = json.dumps(known, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value))
    return dict(json.loads(text))


def _run(world: Whole) -> tuple[Machine, Jobs, RunRecord]:
    document = project_document("flights", "binary")
    document["training"] |= {"candidates": ["baseline", "hist_gradient_boosting"], "tuning": TUNING, "spot": True}
    world.deploy_document(document)
    run_id, jobs = world.claimed("customers.csv", as_csv(make_rows(500))), Jobs(world)
    machine = Machine(
        "training_pipeline.asl.json",
        {
            "PrepareDataset": jobs.processing,
            "StartTuning": jobs.start("hyper_parameter_tuning_job"),
            "DescribeTuning": jobs.describe("hyper_parameter_tuning_job"),
            "StartTraining": jobs.start("training_job"),
            "DescribeTraining": jobs.describe("training_job"),
            "EvaluateModel": jobs.processing,
            "DeployModel": lambda arguments: {},
        },
        {"Id": world.execution_arn(run_id), "Name": naming.execution_name("flights", run_id, 1)},
    )
    machine.run({"project": "flights", "run_id": run_id, "attempt": 1})
    return machine, jobs, world.table.need("flights", run_id)


def test_a_run_whose_trials_are_training_jobs_ends_with_a_tuned_candidate_and_its_study(whole: Whole) -> None:
    machine, jobs, record = _run(whole)
    assert "StartTuning" in machine.visited
    result = _result(whole, jobs)
    study, request = result.study, jobs.asked["hyper_parameter_tuning_job"]
    assert study is not None
    _is_the_study_of(study, request, jobs)
    tuned = next(item for item in result.candidates if item.name == "hist_gradient_boosting-tuned")
    assert tuned.status == "trained"
    best = study.ranked()[0]
    assert {name: tuned.overrides[name] for name in best.params} == best.params
    assert tuned.overrides["max_iter"] == best.rounds
    _is_recorded(whole, record, study, request)


def _is_the_study_of(study: Study, request: dict[str, Any], jobs: Jobs) -> None:
    """Every training job is a trial, and so are the usual parameters, which SageMaker cannot be told to begin with."""
    name = request["HyperParameterTuningJobName"]
    listed = jobs.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    scores = {
        job["TrainingJobName"]: job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for job in listed["TrainingJobSummaries"]
    }
    assert {trial.job_name: trial.score for trial in study.trials if trial.job_name} == scores
    assert (len(scores), study.engine, study.ended_by) == (3, "sagemaker", "trials")
    assert [trial.origin for trial in study.trials if not trial.job_name] == ["usual"]
    assert all(trial.billable_seconds for trial in study.trials if trial.job_name)
    assert study.usd


def _is_recorded(world: Whole, record: RunRecord, study: Study, request: dict[str, Any]) -> None:
    stage = next(item for item in record.stages if item.stage == "tune")
    assert (stage.status, stage.job_name) == ("done", request["HyperParameterTuningJobName"])
    assert (stage.cost_usd or 0) > 0
    assert stage.summary["trials"] == 3
    prepared = next(item for item in record.stages if item.stage == "prepare").summary
    assert prepared["tuning_engine"] == "sagemaker"
    points = json.loads(earlier_points(world.table, "flights"))
    assert points[0]["params"] == study.ranked()[0].params
    trials = [run for run in world.runs() if run.data.tags.get("passerelle.trial_state")]
    assert len(trials) == len(study.trials)


def _result(world: Whole, jobs: Jobs) -> TrainResult:
    request = jobs.asked["training_job"]
    uri = f"{request['OutputDataConfig']['S3OutputPath']}/{request['TrainingJobName']}/output/output.tar.gz"
    text = read_member(Objects(world.s3), *zones.split_s3_uri(uri), "result.json")
    assert text is not None
    return TrainResult.model_validate_json(text)
