"""A SageMaker tuning job over the same search space as the search in the training job: for spaces that need a fleet."""

from __future__ import annotations

from typing import Any, Final, Literal

from passerelle.contracts.container import PrepareResult
from passerelle.contracts.study import OBJECTIVE, TRIAL_REACHED, TRIAL_ROUNDS, TUNED_CANDIDATE
from passerelle.domain.project import Project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.requests.jobs import JobPlace, Request, RunRef, training_job
from passerelle.domain.tuning.fleet import Share
from passerelle.domain.tuning.space import STEPS, Space, parameter_ranges

#: API reference, CreateHyperParameterTuningJob: HyperParameterTuningJobName.
NAME_LENGTH: Final = 32
Strategy = Literal["Bayesian", "Hyperband", "Random"]
#: What a training of a tuning job takes over from a training job's request.
_TAKEN_OVER: Final = (
    "OutputDataConfig", "EnableNetworkIsolation", "VpcConfig", "EnableManagedSpotTraining",
    "StoppingCondition", "CheckpointConfig", "Environment", "RoleArn",
)  # fmt: skip
#: The test period is the gate's: no trial needs to download it.
_CHANNELS: Final = ("project", "train", "validation")


def tuning_job_name(run: RunRef, number: int) -> str:
    """Return the name of a run's tuning job for its `number`th candidate."""
    return f"{run.run_id}-t{run.attempt}-{number}"


def tuning_job(
    place: JobPlace,
    run: RunRef,
    project: Project,
    dataset: PrepareResult,
    space: Space,
    share: Share,
    *,
    number: int = 1,
) -> Request:
    """Return CreateHyperParameterTuningJob: each training is the run's training job with one candidate of the space."""
    tuning = project.training.tuning or Tuning()
    job, chosen = training_job(place, run, project, dataset), strategy(tuning, space)
    limits = {"MaxNumberOfTrainingJobs": share.trials, "MaxParallelTrainingJobs": share.parallel}
    if share.seconds is not None:
        limits["MaxRuntimeInSeconds"] = share.seconds
    return {
        "HyperParameterTuningJobName": tuning_job_name(run, number),
        "HyperParameterTuningJobConfig": {
            "Strategy": chosen,
            **_strategy_config(chosen),
            "HyperParameterTuningJobObjective": {
                "Type": "Maximize" if project.greater_is_better else "Minimize",
                "MetricName": OBJECTIVE,
            },
            "ResourceLimits": limits,
            "ParameterRanges": parameter_ranges(space),
            "TrainingJobEarlyStoppingType": early_stopping(tuning, space),
            "RandomSeed": project.training.seed,
        },
        "TrainingJobDefinition": _trial(job, space),
        "Tags": job["Tags"],
    }


def strategy(tuning: Tuning, space: Space) -> Strategy:
    """Return the strategy that does what sampler and pruner say; Hyperband needs a fit that has stages."""
    if tuning.pruner == "hyperband" and space.rounds:
        return "Hyperband"
    return "Random" if tuning.sampler == "random" else "Bayesian"


def early_stopping(tuning: Tuning, space: Space) -> Literal["Auto", "Off"]:
    """Return whether SageMaker stops trials below the median of the others at the same stage.

    Hyperband stops by itself, and refuses it (developer guide, "Stop Training Jobs Early").
    """
    prunes = tuning.pruner != "none" and space.rounds is not None
    return "Auto" if prunes and strategy(tuning, space) != "Hyperband" else "Off"


def _trial(job: Request, space: Space) -> Request:
    metrics = [{"Name": name, "Regex": f"{name}=([-0-9.e]+)"} for name in (OBJECTIVE, TRIAL_ROUNDS, TRIAL_REACHED)]
    return {
        "StaticHyperParameters": {**job["HyperParameters"], TUNED_CANDIDATE: space.candidate},
        "AlgorithmSpecification": {**job["AlgorithmSpecification"], "MetricDefinitions": metrics},
        "InputDataConfig": [item for item in job["InputDataConfig"] if item["ChannelName"] in _CHANNELS],
        # Warm pools keep an instance for a job of the same kind; trainings of a tuning job have their own.
        "ResourceConfig": {
            name: value for name, value in job["ResourceConfig"].items() if name != "KeepAlivePeriodInSeconds"
        },
        **{name: job[name] for name in _TAKEN_OVER if name in job},
    }


def _strategy_config(strategy: str) -> dict[str, Any]:
    if strategy != "Hyperband":
        return {}
    resources = {"MinResource": 1, "MaxResource": len(STEPS)}
    return {"StrategyConfig": {"HyperbandStrategyConfig": resources}}
