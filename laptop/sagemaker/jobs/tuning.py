"""One hyperparameter tuning job: Optuna proposes, training jobs try (automatic model tuning)."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.errors import invalid, limit_exceeded
from laptop.sagemaker.jobs.lifecycle import TUNING, Lifecycle
from laptop.sagemaker.jobs.training import Control
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

if TYPE_CHECKING:
    from laptop.sagemaker.jobs.service import JobService

FINAL: Final = ("Completed", "Failed", "Stopped")
OBJECTIVE_HYPERPARAMETER: Final = "_tuning_objective_metric"
MAX_RANGES: Final = 30
Operation = Callable[[dict[str, Any]], dict[str, Any]]


def check_tuning(request: Mapping[str, Any]) -> None:
    """Rules of CreateHyperParameterTuningJob ("Best practices" and the API reference)."""
    config = request["HyperParameterTuningJobConfig"]
    definition = request.get("TrainingJobDefinition")
    if definition is None:
        raise limit_exceeded("The laptop's SageMaker tunes one TrainingJobDefinition; give exactly that")
    ranges = _ranges(config)
    _check_ranges(ranges, static=set(definition.get("StaticHyperParameters", {})))
    if config["Strategy"] == "Grid" and any(kind != "categorical" for kind, _ in ranges):
        raise invalid("Grid search takes categorical ranges only")
    if config["Strategy"] == "Hyperband":
        raise limit_exceeded("Strategy Hyperband needs epochs that the laptop cannot see; use Bayesian or Random")
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise invalid("HyperParameterTuningJobObjective is required")
    metrics = [m["Name"] for m in definition["AlgorithmSpecification"].get("MetricDefinitions", ())]
    if objective["MetricName"] not in metrics:
        raise invalid(f"The objective metric {objective['MetricName']} is not among the MetricDefinitions: {metrics}")


def _check_ranges(ranges: list[tuple[str, dict[str, Any]]], *, static: set[str]) -> None:
    if not ranges:
        raise invalid("ParameterRanges must hold at least one range")
    if len(ranges) > MAX_RANGES:
        raise invalid(f"At most {MAX_RANGES} hyperparameters can be searched, not {len(ranges)}")
    names = [item["Name"] for _, item in ranges]
    for name in names:
        if names.count(name) > 1 or name in static:
            raise invalid(f"Hyperparameter {name} is given more than once, or both searched and static")
    for kind, item in ranges:
        if kind != "categorical" and float(item["MinValue"]) > float(item["MaxValue"]):
            raise invalid(
                f"Hyperparameter {item['Name']}: MinValue {item['MinValue']} exceeds MaxValue {item['MaxValue']}"
            )


def _ranges(config: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    ranges = config.get("ParameterRanges", {})
    kinds = {"integer": "IntegerParameterRanges", "continuous": "ContinuousParameterRanges",
             "categorical": "CategoricalParameterRanges"}  # fmt: skip
    return [(kind, item) for kind, key in kinds.items() for item in ranges.get(key, ())]


class TuningRun:
    """Runs one tuning job on the calling thread."""

    def __init__(
        self,
        name: str,
        *,
        create: Operation,
        jobs: JobService,
        settings: LaptopSettings,
        surroundings: Surroundings,
        lifecycle: Lifecycle,
        control: Control,
    ) -> None:
        job = lifecycle.get(name)
        assert job is not None
        self.name, self._job, self._create_job, self._jobs = name, job, create, jobs
        self._lifecycle, self._control = lifecycle, control
        self._config = job["HyperParameterTuningJobConfig"]
        self._objective = self._config["HyperParameterTuningJobObjective"]
        self._sign = 1.0 if self._objective["Type"] == "Maximize" else -1.0
        self._trials: dict[str, Any] = {}
        self._scores: dict[str, float] = {}
        self._done: Counter[str] = Counter()

    def run(self) -> None:
        """Propose, start, wait, tell, until the limits or a completion rule are reached."""
        study, limits = self._study(), self._config["ResourceLimits"]
        most, parallel = limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]
        deadline = time.monotonic() + limits.get("MaxRuntimeInSeconds", 2_592_000)
        started = 0
        while not self._control.closing.is_set():
            self._collect(study)
            ending = self._control.stop.is_set() or time.monotonic() > deadline or self._is_good_enough()
            if ending or started >= most:
                if not self._trials:
                    return self._finish("Stopped" if self._control.stop.is_set() else "Completed")
                if ending:
                    for child in self._trials:
                        self._jobs.stop_training_job(child)
            elif len(self._trials) < parallel:
                started += 1
                self._start(study, started)
                continue
            time.sleep(0.2)
        return None

    def _study(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = self._config.get("RandomSeed", 0)
        strategy = self._config["Strategy"]
        if strategy == "Grid":
            space = {item["Name"]: item["Values"] for _, item in _ranges(self._config)}
            sampler: Any = optuna.samplers.GridSampler(space, seed=seed)
        elif strategy == "Random":
            sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return optuna.create_study(direction="maximize", sampler=sampler)

    def _start(self, study: Any, number: int) -> None:
        trial = study.ask()
        tuned = {item["Name"]: _suggest(trial, kind, item) for kind, item in _ranges(self._config)}
        definition = self._job["TrainingJobDefinition"]
        unique = hashlib.sha256(f"{self.name}/{number}/{self._job['CreationTime']}".encode()).hexdigest()[:8]
        child = f"{self.name}-{number:03d}-{unique}"
        request = {
            "TrainingJobName": child,
            "HyperParameters": definition.get("StaticHyperParameters", {})
            | tuned
            | {OBJECTIVE_HYPERPARAMETER: self._objective["MetricName"]},
            "TuningJobArn": self._job[TUNING.arn_key],
            "TunedHyperParameters": tuned,
        }
        for key in ("AlgorithmSpecification", "InputDataConfig", "OutputDataConfig", "ResourceConfig",
                    "StoppingCondition", "RoleArn", "CheckpointConfig", "EnableManagedSpotTraining",
                    "Environment", "VpcConfig"):  # fmt: skip
            if key in definition:
                request[key] = definition[key]
        if "CheckpointConfig" in request:  # trials must not resume from each other
            uri = request["CheckpointConfig"]["S3Uri"].rstrip("/")
            request["CheckpointConfig"] = request["CheckpointConfig"] | {"S3Uri": f"{uri}/{child}"}
        self._create_job(request)
        self._trials[child] = trial

    def _collect(self, study: Any) -> None:
        import optuna

        for child, trial in list(self._trials.items()):
            job = self._jobs.training_job(child)
            if job is None or job["TrainingJobStatus"] not in FINAL:
                continue
            del self._trials[child]
            self._done[job["TrainingJobStatus"]] += 1
            score = self._score(job)
            if score is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, self._sign * score)
                self._scores[child] = score
                metric = {"MetricName": self._objective["MetricName"], "Value": score, "Type": self._objective["Type"]}
                self._jobs.change_training_job(child, FinalHyperParameterTuningJobObjectiveMetric=metric)
        self._count()

    def _score(self, job: Mapping[str, Any]) -> float | None:
        found = [
            m["Value"] for m in job.get("FinalMetricDataList", ()) if m["MetricName"] == self._objective["MetricName"]
        ]
        return float(found[-1]) if found and job["TrainingJobStatus"] != "Failed" else None

    def _is_good_enough(self) -> bool:
        criteria = self._config.get("TuningJobCompletionCriteria", {})
        target = criteria.get("TargetObjectiveMetricValue")
        if target is not None and any(self._sign * score >= self._sign * target for score in self._scores.values()):
            return True
        patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        if patience is None or not self._scores:
            return False
        scores = [self._sign * score for score in self._scores.values()]
        return len(scores) - 1 - scores.index(max(scores)) >= int(patience)

    def _count(self) -> None:
        finished = sum(self._done.values())
        best = max(self._scores, key=lambda child: self._sign * self._scores[child], default=None)
        fields: dict[str, Any] = {
            "TrainingJobStatusCounters": {
                "Completed": self._done["Completed"],
                "InProgress": len(self._trials),
                "RetryableError": 0,
                "NonRetryableError": self._done["Failed"],
                "Stopped": self._done["Stopped"],
            },
            "ObjectiveStatusCounters": {
                "Succeeded": len(self._scores),
                "Pending": len(self._trials),
                "Failed": finished - len(self._scores),
            },
        }
        if best:
            job = self._jobs.training_job(best) or {}
            keys = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingJobStatus", "TunedHyperParameters",
                    "FinalHyperParameterTuningJobObjectiveMetric")  # fmt: skip
            fields["BestTrainingJob"] = {key: job[key] for key in keys if key in job}
        self._lifecycle.change(self.name, **fields)

    def _finish(self, status: str) -> None:
        if status == "Completed" and not self._scores:
            reason = "All training jobs failed, or none gave the objective metric"
            self._lifecycle.change(
                self.name,
                HyperParameterTuningJobStatus="Failed",
                FailureReason=reason,
                HyperParameterTuningEndTime=now(),
            )
            return
        self._lifecycle.change(self.name, HyperParameterTuningJobStatus=status, HyperParameterTuningEndTime=now())


def _suggest(trial: Any, kind: str, item: Mapping[str, Any]) -> str:
    """Return a proposed value as the string that a training job gets."""
    if kind == "categorical":
        return str(trial.suggest_categorical(item["Name"], item["Values"]))
    log = item.get("ScalingType") in ("Logarithmic", "ReverseLogarithmic")
    if kind == "integer":
        return str(trial.suggest_int(item["Name"], int(item["MinValue"]), int(item["MaxValue"]), log=log))
    low, high = float(item["MinValue"]), float(item["MaxValue"])
    return re.sub(r"e-0?", "e-", repr(trial.suggest_float(item["Name"], low, high, log=log)))
