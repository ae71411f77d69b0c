"""Tuning jobs: what they search, what they refuse, and that a restart of the platform changes nothing."""

from __future__ import annotations

import statistics
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.jobs.metrics import LogMetrics
from laptop.sagemaker.jobs.search import Search
from laptop.sagemaker.jobs.tuning import TuningRun
from laptop.sagemaker.store import Store
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own, scripted, wait_for

__all__ = ["own"]

CREATE, KIND = "CreateHyperParameterTuningJob", "HyperParameterTuningJob"
GRID = {
    "CategoricalParameterRanges": [
        {"Name": "x", "Values": ["0", "1"]},
        {"Name": "y", "Values": ["a", "b", "c"]},
    ]
}


def tuning(name: str, **changes: Any) -> dict[str, Any]:
    """Return a tuning request; the names of changes are those of HyperParameterTuningJobConfig."""
    return make.tuning(name, **{f"HyperParameterTuningJobConfig__{key}": value for key, value in changes.items()})


def children(own: Own, name: str, **options: Any) -> list[dict[str, Any]]:
    request = {"HyperParameterTuningJobName": name, "MaxResults": 100, **options}
    listed = own.call("ListTrainingJobsForHyperParameterTuningJob", request)["TrainingJobSummaries"]
    assert isinstance(listed, list)
    return listed


def tried(own: Own, name: str) -> list[dict[str, str]]:
    return [child["TunedHyperParameters"] for child in children(own, name)]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_tuning_job_goes_on_after_a_restart_as_if_there_had_been_none(own: Own, strategy: str) -> None:
    limits = {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 1}
    own.call(CREATE, tuning("whole", Strategy=strategy, ResourceLimits=limits))
    own.ended(KIND, "whole")
    own.call(CREATE, slow(tuning("broken", Strategy=strategy, ResourceLimits=limits)))
    wait_for(lambda: len(children(own, "broken")) == 2)
    own.reopen()
    job = own.ended(KIND, "broken")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert tried(own, "broken") == tried(own, "whole")
    assert len({values["x"] for values in tried(own, "broken")}) == 4
    assert job["BestTrainingJob"]["ObjectiveStatus"] == "Succeeded"


def slow(request: dict[str, Any], steps: int = 10) -> dict[str, Any]:
    request["TrainingJobDefinition"]["Environment"] = {"STEPS": str(steps)}
    return request


def test_a_tuning_job_found_stopping_at_the_start_stops_its_training_jobs(own: Own) -> None:
    own.call(CREATE, slow(make.tuning("tune"), steps=6000))
    wait_for(lambda: children(own, "tune"))
    own.sagemaker.close()
    store = Store(own.settings.sagemaker_home / "state.db")
    stopping = {"HyperParameterTuningJobStatus": "Stopping"}
    store.update("hyper-parameter-tuning-job", "tune", lambda job: job.update(stopping))
    store.close()
    own.open()
    assert own.ended(KIND, "tune")["HyperParameterTuningJobStatus"] == "Stopped"
    assert {child["TrainingJobStatus"] for child in children(own, "tune")} == {"Stopped"}


def test_a_stop_of_a_tuning_job_stops_its_training_jobs(own: Own) -> None:
    own.call(CREATE, slow(make.tuning("tune"), steps=6000))
    wait_for(lambda: len(children(own, "tune")) == 2)
    own.call("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})
    job = own.ended(KIND, "tune")
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    assert "HyperParameterTuningEndTime" in job


@pytest.mark.parametrize("most", [6, None])
def test_a_grid_tries_every_combination_once(own: Own, most: int | None) -> None:
    limits = {"MaxParallelTrainingJobs": 3} | ({"MaxNumberOfTrainingJobs": most} if most else {})
    own.call(CREATE, tuning("tune", Strategy="Grid", ParameterRanges=GRID, ResourceLimits=limits))
    job = own.ended(KIND, "tune")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert sorted((item["x"], item["y"]) for item in tried(own, "tune")) == [
        (x, y) for x in ("0", "1") for y in ("a", "b", "c")
    ]


def test_a_list_of_tuning_jobs_tells_strategy_and_limits(own: Own) -> None:
    own.call(CREATE, make.tuning("tune"))
    own.ended(KIND, "tune")
    listed = own.call("ListHyperParameterTuningJobs", {})["HyperParameterTuningJobSummaries"][0]
    assert listed["Strategy"] == "Random"
    assert listed["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2}


def test_training_jobs_are_listed_by_their_objective_and_only_those_that_have_one(own: Own) -> None:
    own.call(CREATE, make.tuning("tune", HyperParameterTuningJobConfig__RandomSeed=10**15))
    own.ended(KIND, "tune")
    own.call(CREATE, make.tuning("none", TrainingJobDefinition__Environment={"FAIL": "no"}))
    failed = own.ended(KIND, "none")
    assert failed["HyperParameterTuningJobStatus"] == "Failed"
    assert children(own, "none", SortBy="FinalObjectiveMetricValue") == []
    listed = children(own, "tune", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    scores = [child["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for child in listed]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


WARM_START = {
    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
    "WarmStartType": "TransferLearning",
}
CONTINUOUS, INTEGER = "ContinuousParameterRanges", "IntegerParameterRanges"


@pytest.mark.parametrize(
    ("kind", "low", "high", "scaling", "says"),
    [
        (CONTINUOUS, "abc", "2", "Auto", "no continuous number"),
        (CONTINUOUS, "0", "inf", "Auto", "no continuous number"),
        (CONTINUOUS, "nan", "1", "Auto", "no continuous number"),
        (INTEGER, "1.5", "2", "Auto", "no integer number"),
        (INTEGER, "9", "2", "Auto", "exceeds"),
        (CONTINUOUS, "0", "1", "Logarithmic", "greater than 0"),
        (INTEGER, "-1", "1", "Logarithmic", "greater than 0"),
        (CONTINUOUS, "0", "1", "ReverseLogarithmic", "within 0<=x<1.0"),
        (CONTINUOUS, "-0.1", "0.5", "ReverseLogarithmic", "within 0<=x<1.0"),
        (INTEGER, "0", "0", "ReverseLogarithmic", "continuous ranges"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(
    own: Own, kind: str, low: str, high: str, scaling: str, says: str
) -> None:
    ranges = {kind: [{"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}]}
    with pytest.raises(SageMakerError, match=says) as caught:
        own.call(CREATE, tuning("tune", ParameterRanges=ranges))
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"HyperParameterTuningJobConfig__ResourceLimits": {"MaxParallelTrainingJobs": 1}}, "must end the search"),
        ({"HyperParameterTuningJobConfig__ResourceLimits__MaxNumberOfTrainingJobs": 751}, "at most 750"),
        ({"TrainingJobDefinition__EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds must be specified"),
        ({"TrainingJobDefinition__CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/home"}}, "under /opt/ml/"),
        ({"WarmStartConfig": WARM_START}, "WarmStart"),
        ({"Autotune": {"Mode": "Enabled"}}, "Autotune"),
        (
            {
                "HyperParameterTuningJobConfig__TuningJobCompletionCriteria": {
                    "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}
                }
            },
            "ConvergenceDetected",
        ),
        (
            {
                "HyperParameterTuningJobConfig__TuningJobCompletionCriteria": {
                    "TargetObjectiveMetricValue": float("nan")
                }
            },
            "finite number",
        ),
    ],
)
def test_a_tuning_job_that_could_not_be_run_is_refused(own: Own, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SageMakerError, match=says):
        own.call(CREATE, make.tuning("tune", **changes))


def test_tuning_ends_after_so_many_training_jobs_without_progress_of_one_percent(own: Own) -> None:
    ranges = {CONTINUOUS: [{"Name": "x", "MinValue": "-2.0001", "MaxValue": "-2"}]}
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    limits = {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 1}
    request = tuning("tune", ParameterRanges=ranges, TuningJobCompletionCriteria=criteria, ResourceLimits=limits)
    own.call(CREATE, request)
    job = own.ended(KIND, "tune")
    assert (job["HyperParameterTuningJobStatus"], job["TrainingJobStatusCounters"]["Completed"]) == ("Completed", 4)


def test_tuning_ends_when_the_objective_reaches_its_target(own: Own) -> None:
    limits = {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 1}
    criteria = {"TargetObjectiveMetricValue": 9.1}
    own.call(CREATE, tuning("tune", TuningJobCompletionCriteria=criteria, ResourceLimits=limits))
    job = own.ended(KIND, "tune")
    assert (job["HyperParameterTuningJobStatus"], job["TrainingJobStatusCounters"]["Completed"]) == ("Completed", 1)


def test_training_jobs_carry_the_tags_of_their_tuning_job(own: Own) -> None:
    tags = [{"Key": "cost-centre", "Value": "flights"}]
    own.call(CREATE, make.tuning("tune", Tags=tags))
    own.ended(KIND, "tune")
    for child in children(own, "tune"):
        assert own.call("ListTags", {"ResourceArn": child["TrainingJobArn"]})["Tags"] == tags


def test_a_defect_of_the_service_stops_the_training_jobs_of_a_tuning_job(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: TuningRun) -> None:
        if len(run._trials) == 2:
            raise RuntimeError("a defect")

    monkeypatch.setattr(TuningRun, "_collect", broken)
    own.call(CREATE, slow(make.tuning("tune"), steps=6000))
    assert own.ended(KIND, "tune")["FailureReason"] == "InternalServerError: RuntimeError: a defect"
    assert {
        own.ended("TrainingJob", child["TrainingJobName"])["TrainingJobStatus"] for child in children(own, "tune")
    } == {"Stopped"}


def test_a_grid_of_another_size_than_its_combinations_is_refused(own: Own) -> None:
    limits = {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 5}
    with pytest.raises(SageMakerError, match="must be left out or be 6"):
        own.call(CREATE, tuning("tune", Strategy="Grid", ParameterRanges=GRID, ResourceLimits=limits))


def test_a_search_may_have_more_combinations_than_memory_holds() -> None:
    items = [{"Name": f"p{number}", "Values": [str(value) for value in range(30)]} for number in range(30)]
    for strategy in ("Random", "Bayesian"):
        search = Search({"Strategy": strategy, "ParameterRanges": {"CategoricalParameterRanges": items}})
        assert len(search.propose(1)[1]) == 30


def test_reverse_logarithmic_scaling_searches_the_distance_to_one_evenly() -> None:
    item = {"Name": "x", "MinValue": "0.9", "MaxValue": "0.99999", "ScalingType": "ReverseLogarithmic"}
    search = Search({"Strategy": "Random", "ParameterRanges": {CONTINUOUS: [item]}})
    proposals = [search.propose(number) for number in range(1, 301)]
    values = [float(tuned["x"]) for _, tuned in proposals]
    assert all(0.9 <= value <= 0.99999 for value in values)
    assert statistics.median(1 - value for value in values) == pytest.approx(1e-3, rel=0.5)
    for trial, tuned in proposals:
        assert search.recall(tuned).params["x"] == pytest.approx(trial.params["x"], rel=1e-9)


# Hyperband and early stopping


def by_epochs(epochs: int, **config: Any) -> dict[str, Any]:
    """Return a tuning request whose training jobs print their loss after every epoch."""
    limits = {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 3}
    request = tuning("tune", ResourceLimits=limits, **config)
    request["TrainingJobDefinition"]["StaticHyperParameters"] = {"epochs": str(epochs)}
    return request


def test_hyperband_stops_training_jobs_without_prospects_and_keeps_the_best(own: Own) -> None:
    own.call(CREATE, by_epochs(9, Strategy="Hyperband"))
    job = own.ended(KIND, "tune")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    counters = job["TrainingJobStatusCounters"]
    assert counters["Stopped"] >= 1
    assert counters["Stopped"] + counters["Completed"] == 9
    distances = {abs(float(child["TunedHyperParameters"]["x"]) - 1) for child in children(own, "tune")}
    assert abs(float(job["BestTrainingJob"]["TunedHyperParameters"]["x"]) - 1) == min(distances)
    assert job["BestTrainingJob"]["TrainingJobStatus"] == "Completed"


def test_hyperband_stops_a_training_job_that_goes_beyond_its_resources(own: Own) -> None:
    resources = {"HyperbandStrategyConfig": {"MinResource": 3, "MaxResource": 3}}
    own.call(CREATE, by_epochs(600, Strategy="Hyperband", StrategyConfig=resources))
    assert own.ended(KIND, "tune")["TrainingJobStatusCounters"]["Stopped"] == 9


def test_early_stopping_ends_training_jobs_behind_the_median_of_earlier_ones(own: Own) -> None:
    own.call(CREATE, by_epochs(6, Strategy="Random", TrainingJobEarlyStoppingType="Auto"))
    job = own.ended(KIND, "tune")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["TrainingJobStatusCounters"]["Stopped"] >= 1


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"Strategy": "Hyperband"}, "MinResource <= MaxResource"),
        ({"Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 20_001}}}, "20000"),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto",
          "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 9}}}, "must be Off"),
        ({"Strategy": "Random", "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 9}}}, "only supported"),
    ],
)  # fmt: skip
def test_a_hyperband_without_sense_is_refused(own: Own, config: dict[str, Any], says: str) -> None:
    with pytest.raises(SageMakerError, match=says):
        own.call(CREATE, tuning("tune", **config))


# Metrics of the log


@pytest.mark.parametrize(
    ("printed", "regex", "value"),
    [
        ("loss=0.5", "loss=([0-9.]+)", 0.5),
        ("loss=0.5e-3 ", "loss=([0-9.]+(e-?[0-9]+)?)", 0.0005),
        ("loss=0.5", "(?<=loss=)[0-9.]+", 0.5),
        ("loss=0.7\\nloss=nan\\nloss=0.6\\nloss=nan", r"loss=(\S+)", 0.6),
        ("loss=0.7\\rloss=0.4", "loss=([0-9.]+)", 0.4),
    ],
)
def test_the_first_group_of_a_metrics_expression_is_its_value_and_the_last_finite_one_counts(
    own: Own, tmp_path: Path, printed: str, regex: str, value: float
) -> None:
    definitions = [{"Name": "loss", "Regex": regex}]
    request = make.training("job", **scripted(tmp_path, f"print('{printed}')", MetricDefinitions=definitions))
    own.call("CreateTrainingJob", request)
    job = own.ended("TrainingJob", "job")
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("loss", value)]


def test_a_metrics_expression_that_is_none_is_refused(own: Own) -> None:
    definitions = [{"Name": "loss", "Regex": "loss=([0-9"}]
    with pytest.raises(SageMakerError, match="not a regular expression") as caught:
        own.call("CreateTrainingJob", make.training("job", AlgorithmSpecification__MetricDefinitions=definitions))
    assert caught.value.code == "ValidationException"


def test_a_huge_log_is_read_in_little_memory(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with log.open("w") as file:
        for number in range(200_000):
            file.write(f"epoch {number} loss={number}\n")
        file.write("x" * 20_000_000 + "\nloss=7\n")
    tracemalloc.start()
    last = dict(LogMetrics([{"Name": "loss", "Regex": "loss=([0-9.]+)"}], log).new_values())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last == {"loss": 7.0}
    assert peak < 2_000_000
