"""What a search found is where the project's next one begins, and no longer than SageMaker takes."""

from __future__ import annotations

import json
from typing import Any

from laptop.sagemaker.validation import validate
from passerelle.contracts.study import WARM_START, Study, TrialRecord
from passerelle.settings import RecordDatasetSettings, RecordTrainingSettings
from passerelle.steps.record_dataset import record_dataset
from passerelle.steps.record_training import record_training
from passerelle.steps.studies import KEPT, MAX_CHARACTERS, warm_start

from . import results
from .results import BASE, as_json
from .world import Aws


def _study(count: int, *, words: int = 1) -> Study:
    trials = tuple(
        TrialRecord(
            number=number,
            candidate="xgboost",
            params={"max_depth": number, **{f"parameter_{place}": 0.123456789 for place in range(words)}},
            state="finished",
            origin="sampled",
            score=0.5 + number / 100,
        )
        for number in range(count)
    )
    return Study(metric="roc_auc", greater_is_better=True, sampler="tpe", pruner="asha", trials=trials)


def _training_request(aws: Aws) -> dict[str, Any]:
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    request = {**BASE, "job": results.processing_description("prepare")}
    answer = record_dataset(as_json(request), RecordDatasetSettings(**aws.jobs))
    return dict(answer["training_job"])


def _record(aws: Aws, study: Study | None, **job: Any) -> dict[str, Any]:
    result = results.trained().model_copy(update={"study": study})
    results.put_training_output(aws, results.archive({"result.json": result.model_dump_json().encode()}))
    described = results.training_description(aws, **job)
    request = {**BASE, "training_job_name": "x", "training_try": 1, "job": described}
    return record_training(as_json(request), RecordTrainingSettings(**aws.jobs))


def test_the_next_search_begins_with_the_best_trials_of_the_last(aws: Aws) -> None:
    aws.deploy_project(training={"tuning": {"trials": 5}})
    aws.begin_run()
    assert WARM_START not in _training_request(aws)["HyperParameters"]
    _record(aws, _study(9))
    _record(aws, None)
    request = _training_request(aws)
    validate("CreateTrainingJob", request)
    points = json.loads(request["HyperParameters"][WARM_START])
    assert [point["params"]["max_depth"] for point in points] == [8, 7, 6, 5, 4]
    assert len(points) == KEPT


def test_a_project_that_does_not_tune_is_given_nothing(aws: Aws) -> None:
    aws.begin_run()
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    _record(aws, _study(9))
    assert WARM_START not in _training_request(aws)["HyperParameters"]


def test_a_later_try_of_a_job_begins_where_the_first_did(aws: Aws) -> None:
    changes = {"tuning": {}, "spot": True, "fallback_instance_types": ["ml.m5.2xlarge"]}
    aws.deploy_project(training=changes)
    aws.begin_run()
    results.put_result(aws, "prepare", results.prepared().model_dump_json())
    points = warm_start(_study(2))
    none = {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: no capacity", "SecondaryStatus": "Failed"}
    again = _record(aws, None, HyperParameters={WARM_START: points}, **none)
    assert again["status"] == "retry"
    assert again["training_job"]["HyperParameters"][WARM_START] == points


def test_points_that_are_too_long_for_a_hyperparameter_are_fewer() -> None:
    text = warm_start(_study(9, words=30))
    assert len(text) <= MAX_CHARACTERS
    assert 0 < len(json.loads(text)) < KEPT
    assert warm_start(_study(0)) == ""
