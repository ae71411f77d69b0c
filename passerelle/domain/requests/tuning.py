"""A SageMaker tuning job over the same search space as the search in the training job: for spaces that need a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from passerelle.contracts.container import PrepareResult
from passerelle.contracts.study import OBJECTIVE, TUNED_CANDIDATE
from passerelle.domain.project import Project
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.requests.jobs import JobPlace, Request, RunRef, training_job
from passerelle.domain.tuning.space import STEPS, parameter_ranges, spaces

#: API reference, CreateHyperParameterTuningJob: HyperParameterTuningJobName.
NAME_LENGTH: Final = 32
#: What a training of a tuning job takes over from a training job's request.
_TAKEN_OVER: Final = (
    "InputDataConfig", "OutputDataConfig", "EnableNetworkIsolation", "VpcConfig", "EnableManagedSpotTraining",
    "StoppingCondition", "CheckpointConfig", "Environment", "RoleArn",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """How a tuning job searches: by which strategy, and how many trainings at a time."""

    candidate: str
    strategy: Literal["Bayesian", "Hyperband", "Random"] = "Bayesian"
    parallel: int = 4


def tuning_job(place: JobPlace, run: RunRef, project: Project, dataset: PrepareResult, fleet: Fleet) -> Request:
    """Return CreateHyperParameterTuningJob: each training is the run's training job with one candidate of the space.

    Raises ValueError for a candidate that has nothing to tune.
    """
    tuning = project.training.tuning or Tuning()
    found = spaces([fleet.candidate], tuning.overrides())
    if not found:
        raise ValueError(f"{fleet.candidate!r} has nothing to tune")
    job = training_job(place, run, project, dataset)
    limits: dict[str, Any] = {"MaxNumberOfTrainingJobs": tuning.trials, "MaxParallelTrainingJobs": fleet.parallel}
    if tuning.minutes is not None:
        # SageMaker counts from the start of the tuning job, and takes no less than two minutes.
        limits["MaxRuntimeInSeconds"] = max(120, round(tuning.minutes * 60))
    return {
        "HyperParameterTuningJobName": f"{run.run_id}-t{run.attempt}"[:NAME_LENGTH],
        "HyperParameterTuningJobConfig": {
            "Strategy": fleet.strategy,
            **_strategy_config(fleet.strategy),
            "HyperParameterTuningJobObjective": {
                "Type": "Maximize" if project.greater_is_better else "Minimize",
                "MetricName": OBJECTIVE,
            },
            "ResourceLimits": limits,
            "ParameterRanges": parameter_ranges(found[0]),
            "RandomSeed": project.training.seed,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {**job["HyperParameters"], TUNED_CANDIDATE: fleet.candidate},
            "AlgorithmSpecification": {
                **job["AlgorithmSpecification"],
                "MetricDefinitions": [{"Name": OBJECTIVE, "Regex": f"{OBJECTIVE}=([-0-9.e]+)"}],
            },
            # Warm pools keep an instance for a job of the same kind; trainings of a tuning job have their own.
            "ResourceConfig": {
                name: value for name, value in job["ResourceConfig"].items() if name != "KeepAlivePeriodInSeconds"
            },
            **{name: job[name] for name in _TAKEN_OVER if name in job},
        },
        "Tags": job["Tags"],
    }


def _strategy_config(strategy: str) -> Request:
    if strategy != "Hyperband":
        return {}
    resources = {"MinResource": 1, "MaxResource": len(STEPS)}
    return {"StrategyConfig": {"HyperbandStrategyConfig": resources}}
