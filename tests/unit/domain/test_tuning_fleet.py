"""A search as tuning jobs: where it runs and why, what each job may use, and what of it reaches the study."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from passerelle.contracts.study import OBJECTIVE, TRIAL_REACHED, TRIAL_ROUNDS, Study, TrialRecord
from passerelle.domain.project import Project, load_project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.engine import choose_engine
from passerelle.domain.tuning.fleet import LEAST_SECONDS, Share, joined, share, trial_of
from passerelle.domain.tuning.space import SPACES
from passerelle.errors import PasserelleError

FLIGHTS = Path(__file__).parents[3] / "projects/flights/project.yaml"
BEGUN = datetime(2026, 11, 21, 5, tzinfo=UTC)


def _project(tuning: dict[str, Any], **training: Any) -> Project:
    document = yaml.safe_load(FLIGHTS.read_text())
    document["training"] |= {"tuning": tuning, **training}
    return load_project(yaml.safe_dump(document), source="project.yaml")


def _study(*scores: float, seconds: float = 600.0, usd: float | None = 0.5) -> Study:
    trials = tuple(
        TrialRecord(number=number, candidate="xgboost", params={}, state="finished", origin="sampled", score=score,
                    ended_at=10.0)
        for number, score in enumerate(scores)
    )  # fmt: skip
    return Study(metric="roc_auc", greater_is_better=True, sampler="bayesian", pruner="median", trials=trials,
                 seconds=seconds, usd=usd, engine="sagemaker")  # fmt: skip


def _job(**changes: Any) -> dict[str, Any]:
    space = SPACES["xgboost"]
    told = {OBJECTIVE: 0.71, TRIAL_ROUNDS: 135.0, TRIAL_REACHED: 195.0}
    return {
        "TrainingJobName": "r-t1-1-001-ab",
        "TrainingJobStatus": "Completed",
        "HyperParameters": {"seed": "0", **{item.name: str(item.usual) for item in space.dimensions}},
        "FinalMetricDataList": [{"MetricName": name, "Value": value} for name, value in told.items()],
        "TrainingTimeInSeconds": 90,
        "BillableTimeInSeconds": 30,
        "TrainingEndTime": BEGUN + timedelta(seconds=200),
        **changes,
    }


# Where


def test_trials_that_fit_into_the_job_stay_there_and_those_of_large_data_get_a_fleet() -> None:
    tuning = {"engine": "auto", "trials": 300, "minutes": 60, "candidates": ["random_forest"], "parallel": 20}
    project = _project(tuning, max_runtime_minutes=120)
    small, large = (choose_engine(project, rows=rows) for rows in (20_000, 1_000_000))
    assert (small.name, large.name) == ("job", "sagemaker")
    assert "300 trials take about" in small.why
    assert "on 20 instances" in large.why


def test_a_fleet_that_would_take_longer_than_the_job_is_not_called() -> None:
    tuning = {"engine": "auto", "trials": 700, "minutes": 10, "candidates": ["xgboost"], "parallel": 1}
    found = choose_engine(_project(tuning), rows=1_000_000)
    assert found.name == "job"
    assert "on 1 instances they would take" in found.why


def test_data_of_a_size_that_nobody_measured_are_searched_in_the_job() -> None:
    tuning = {"engine": "auto", "trials": 100, "minutes": 20, "candidates": ["xgboost"]}
    found = choose_engine(_project(tuning), rows=50_000_000)
    assert (found.name, "was not measured" in found.why) == ("job", True)


def test_who_names_the_engine_gets_it() -> None:
    assert choose_engine(_project({"trials": 500}), rows=1_000_000).name == "job"
    assert choose_engine(_project({"engine": "sagemaker", "minutes": 60}), rows=10).name == "sagemaker"


# How much


def test_each_tuning_job_has_an_equal_part_of_what_is_left_of_the_budget() -> None:
    tuning = Tuning(trials=30, minutes=60, parallel=4)
    first = share(tuning, None, jobs_left=3, hourly_usd=0.2)
    assert first == Share(trials=10, seconds=1200, parallel=4, limit="minutes")
    spent = _study(*[0.5] * 6, seconds=600)
    assert share(tuning, spent, jobs_left=2, hourly_usd=0.2) == Share(
        trials=12, seconds=1500, parallel=4, limit="minutes"
    )


def test_a_budget_in_usd_is_never_exceeded_by_instances_that_run_all_the_time() -> None:
    found = share(Tuning(trials=100, minutes=None, usd=4, parallel=5), _study(usd=1.0), jobs_left=2, hourly_usd=0.3)
    assert isinstance(found, Share)
    assert found.seconds is not None
    assert found.parallel * found.seconds / 3600 * 0.3 <= 1.5
    assert found.parallel * (found.seconds + 1) / 3600 * 0.3 > 1.5
    assert found.limit == "usd"


@pytest.mark.parametrize(
    ("tuning", "price", "why"),
    [
        (Tuning(minutes=None, usd=1), None, "no price of this instance"),
        (Tuning(minutes=None, usd=0.001), 0.2, f"{LEAST_SECONDS} s or more"),
        (Tuning(trials=1, minutes=None), 0.2, "no trial is left"),
    ],
)
def test_a_budget_that_no_tuning_job_can_keep_is_said(tuning: Tuning, price: float | None, why: str) -> None:
    found = share(tuning, None, jobs_left=2, hourly_usd=price)
    assert isinstance(found, str)
    assert why in found


def test_no_more_trials_run_at_a_time_than_there_are() -> None:
    found = share(Tuning(trials=3, minutes=None, parallel=10), None, jobs_left=1, hourly_usd=None)
    assert found == Share(trials=3, seconds=None, parallel=3)


def test_what_ended_a_job_is_said_unless_somebody_stopped_it() -> None:
    given = Share(trials=10, seconds=600, parallel=2, limit="usd")
    ends = [given.ended(trials=10, seconds=60), given.ended(trials=4, seconds=601), given.ended(trials=4, seconds=60)]
    assert ends == ["trials", "usd", None]


# What came of it


def test_a_trial_is_what_sagemaker_says_of_its_training_job() -> None:
    trial = trial_of(_job(), SPACES["xgboost"], number=3, begun=BEGUN)
    assert (trial.state, trial.score, trial.rounds, trial.pruned_at) == ("finished", 0.71, 135, None)
    assert (trial.seconds, trial.billable_seconds, trial.ended_at) == (90.0, 30.0, 200.0)
    assert trial.params["max_depth"] == 6
    assert set(trial.params) == {item.name for item in SPACES["xgboost"].dimensions}


def test_a_trial_that_sagemaker_stopped_counts_with_its_best_score_so_far() -> None:
    trial = trial_of(_job(TrainingJobStatus="Stopped"), SPACES["xgboost"], number=0, begun=BEGUN)
    assert (trial.state, trial.score, trial.rounds, trial.pruned_at) == ("pruned", 0.71, 135, 195)


@pytest.mark.parametrize(
    "job",
    [
        _job(TrainingJobStatus="Failed", FailureReason="AlgorithmError: one class", FinalMetricDataList=[]),
        _job(TrainingJobStatus="Stopped", FinalMetricDataList=[]),
        # What it had told before it failed is no score of a model that could be made again.
        _job(TrainingJobStatus="Failed", FailureReason="ClientError: no"),
    ],
)
def test_a_trial_without_a_score_has_failed_and_says_why(job: dict[str, Any]) -> None:
    trial = trial_of(job, SPACES["xgboost"], number=0, begun=BEGUN)
    assert (trial.state, trial.score) == ("failed", None)
    assert trial.error


def test_studies_of_several_jobs_are_one_whose_best_trial_is_the_best_of_all() -> None:
    whole = joined([_study(0.6, 0.9), _study(0.7, seconds=300, usd=0.25)])
    assert [trial.number for trial in whole.trials] == [0, 1, 2]
    assert [trial.ended_at for trial in whole.trials] == [10.0, 10.0, 610.0]
    assert (whole.best, whole.seconds, whole.usd) == (1, 900.0, 0.75)
    assert joined([_study(0.6), _study(0.7, usd=None)]).usd is None


# What cannot work


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        ({"engine": "sagemaker"}, r"minutes: an instance takes minutes to start.*or null, or engine: job"),
        ({"engine": "sagemaker", "minutes": None, "trials": 1}, r"trials: 1 trials are less than one for each of"),
        ({"engine": "auto", "minutes": None, "trials": 9000}, r"trials: SageMaker takes 750 trials"),
        (
            {"engine": "sagemaker", "minutes": None, "candidates": ["logistic"], "space": {"logistic": {"C": False}}},
            r"engine: 'sagemaker' finds nothing to search",
        ),
        ({"engine": "sagemaker", "minutes": 60, "parallel": 0}, r"parallel"),
        ({"engine": "fleet"}, r"engine"),
    ],
)
def test_a_search_that_sagemaker_could_not_run_is_refused_with_what_would_do(tuning: Any, said: str) -> None:
    with pytest.raises(PasserelleError, match=said):
        _project(tuning)
