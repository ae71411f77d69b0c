"""What a tuning job searches: its rules, and the values that it proposes (by Optuna, or one by one for Grid)."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.errors import invalid, limit_exceeded
from laptop.sagemaker.jobs.rules import check_training

MAX_RANGES: Final = 30
#: The service's quota of training jobs in one tuning job.
MAX_TRAINING_JOBS: Final = 750
MAX_EPOCHS: Final = 20_000
#: Static hyperparameters from which Hyperband infers MaxResource (HyperbandStrategyConfig).
_EPOCHS: Final = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
_KINDS: Final = {
    "integer": "IntegerParameterRanges",
    "continuous": "ContinuousParameterRanges",
    "categorical": "CategoricalParameterRanges",
}


@dataclass(frozen=True)
class Range:
    """One hyperparameter and where it may lie; `values` of a categorical one, else `low` to `high`."""

    name: str
    kind: str
    scaling: str = "Auto"
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, item: Mapping[str, Any]) -> Range:
        """Read a range of a request.

        Raises ValidationException when it cannot be searched.
        """
        name, scaling = item["Name"], item.get("ScalingType", "Auto")
        if kind == "categorical":
            return cls(name, kind, values=tuple(dict.fromkeys(item["Values"])))
        low, high = (_number(kind, name, item[key]) for key in ("MinValue", "MaxValue"))
        if low > high:
            raise invalid(f"Hyperparameter {name}: MinValue {item['MinValue']} exceeds MaxValue {item['MaxValue']}")
        if scaling == "Logarithmic" and low <= 0:
            raise invalid(f"Hyperparameter {name}: Logarithmic scaling works only for values greater than 0")
        if scaling == "ReverseLogarithmic" and not (kind == "continuous" and low >= 0 and high < 1):
            raise invalid(
                f"Hyperparameter {name}: ReverseLogarithmic scaling works only for continuous ranges within 0<=x<1.0"
            )
        return cls(name, kind, scaling, low, high)

    def suggest(self, trial: Any) -> str:
        """Return a proposed value as the string that a training job gets."""
        if self.kind == "categorical":
            return str(trial.suggest_categorical(self.name, self.values))
        log = self.scaling in ("Logarithmic", "ReverseLogarithmic")
        if self.kind == "integer":
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), log=log))
        low, high = self._searched
        value = float(trial.suggest_float(self.name, low, high, log=log))
        if self.scaling == "ReverseLogarithmic":
            value = min(max(1 - value, self.low), self.high)
        return re.sub(r"e-0?", "e-", repr(value))

    def recall(self, text: str) -> Any:
        """Return what Optuna had proposed when a training job got this string."""
        if self.kind == "categorical":
            return text
        if self.kind == "integer":
            return int(text)
        low, high = self._searched
        value = 1 - float(text) if self.scaling == "ReverseLogarithmic" else float(text)
        return min(max(value, low), high)

    @property
    def _searched(self) -> tuple[float, float]:
        """Near 1 the distance to 1 is what matters: its logarithm is searched evenly (AWS, Hyperparameter Scaling)."""
        return (1 - self.high, 1 - self.low) if self.scaling == "ReverseLogarithmic" else (self.low, self.high)


def ranges(config: Mapping[str, Any]) -> list[Range]:
    """Return the ranges of a tuning job's configuration.

    Raises ValidationException when one cannot be searched.
    """
    given = config.get("ParameterRanges", {})
    return [Range.of(kind, item) for kind, key in _KINDS.items() for item in given.get(key, ())]


def most_jobs(config: Mapping[str, Any]) -> int:
    """Return how many training jobs there may be; a grid has as many as combinations."""
    if config["Strategy"] == "Grid":
        return math.prod(len(item.values) for item in ranges(config))
    return int(config["ResourceLimits"].get("MaxNumberOfTrainingJobs", MAX_TRAINING_JOBS))


def _number(kind: str, name: str, text: str) -> float:
    try:
        value = float(int(text)) if kind == "integer" else float(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise invalid(f"Hyperparameter {name}: {text!r} is no {kind} number")
    return value


def _epochs(config: Mapping[str, Any], static: Mapping[str, str] | None) -> tuple[int, int] | None:
    """Return Hyperband's (MinResource, MaxResource), None for other strategies.

    Raises ValidationException when MaxResource is neither given nor to be inferred from the number of epochs.
    """
    given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig")
    if config["Strategy"] != "Hyperband":
        if given is not None:
            raise invalid("HyperbandStrategyConfig is only supported for the Hyperband strategy")
        return None
    inferred = [static[key] for key in _EPOCHS if static and key in static]
    most = (given or {}).get("MaxResource") or (int(inferred[0]) if inferred and inferred[0].isdecimal() else 0)
    least = (given or {}).get("MinResource", 1)
    if not 1 <= least <= most <= MAX_EPOCHS:
        raise invalid(
            f"Hyperband needs 1 <= MinResource <= MaxResource <= {MAX_EPOCHS} ({least}, {most}); MaxResource is given "
            f"in HyperbandStrategyConfig or as one of the StaticHyperParameters {', '.join(_EPOCHS)}"
        )
    return least, most


class Search:
    """Proposes values and learns from results. The n-th proposal of a search depends on the seed and the past only."""

    def __init__(self, config: Mapping[str, Any], static: Mapping[str, str] | None = None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._config, self._ranges = optuna, config, ranges(config)
        self._epochs = _epochs(config, static)
        # The name, too, has a part in Hyperband's brackets: it must be the same after a restart.
        self._study = optuna.create_study(direction="maximize", study_name="search", pruner=self._pruner())
        is_grid = config["Strategy"] == "Grid"  # other searches may have more combinations than memory holds
        self._grid = list(itertools.product(*(item.values for item in self._ranges))) if is_grid else []

    def propose(self, number: int) -> tuple[Any, dict[str, str]]:
        """Return a trial and its values for the training job of this number, from 1."""
        self._study.sampler = self._sampler(number)
        if self._grid:
            names = [item.name for item in self._ranges]
            self._study.enqueue_trial(dict(zip(names, self._grid[number - 1], strict=True)))
        trial = self._study.ask()
        return trial, {item.name: item.suggest(trial) for item in self._ranges}

    def recall(self, tuned: Mapping[str, str]) -> Any:
        """Return a trial with values that were proposed before a restart of the platform."""
        self._study.enqueue_trial({item.name: item.recall(tuned[item.name]) for item in self._ranges})
        trial = self._study.ask()
        for item in self._ranges:
            item.suggest(trial)
        return trial

    def tell(self, trial: Any, value: float | None) -> None:
        """Learn a trial's objective, the higher the better; None for a training job without one."""
        state = self._optuna.trial.TrialState
        if value is None:
            self._study.tell(trial, state=state.FAIL)
        else:
            self._study.tell(trial, value, state=state.COMPLETE)

    @property
    def stops_early(self) -> bool:
        """Whether training jobs without prospects are stopped: they must then be watched epoch by epoch."""
        return not isinstance(self._study.pruner, self._optuna.pruners.NopPruner)

    def gives_up(self, trial: Any, epoch: int, value: float) -> bool:
        """Take note of a running trial's objective after an epoch, from 1; returns whether it is to be stopped.

        One that goes beyond Hyperband's MaxResource is; one that just reaches it may still write its model.
        """
        trial.report(value, epoch)
        return bool(trial.should_prune()) or (self._epochs is not None and epoch > self._epochs[1])

    def _pruner(self) -> Any:
        """Hyperband, or the median rule of AWS's early stopping, or none."""
        if self._epochs:
            least, most = self._epochs
            return self._optuna.pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=3)
        if self._config.get("TrainingJobEarlyStoppingType") == "Auto":
            return self._optuna.pruners.MedianPruner()
        return self._optuna.pruners.NopPruner()

    def _sampler(self, number: int) -> Any:
        """A sampler of its own for each proposal: after a restart it must not propose the first values again."""
        text = f"{self._config.get('RandomSeed', 0)}/{number}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if self._config["Strategy"] == "Bayesian":
            return self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return self._optuna.samplers.RandomSampler(seed=seed)


def check_tuning(request: Mapping[str, Any]) -> None:
    """Rules of CreateHyperParameterTuningJob ("Best practices" and the API reference)."""
    config = request["HyperParameterTuningJobConfig"]
    definition = _check_offered(request)
    searched = ranges(config)
    _check_names([item.name for item in searched], static=set(definition.get("StaticHyperParameters", {})))
    _check_jobs(config, searched)
    epochs = _epochs(config, definition.get("StaticHyperParameters"))
    if epochs and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise invalid("Hyperband stops training jobs by itself; TrainingJobEarlyStoppingType must be Off")
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise invalid("HyperParameterTuningJobObjective is required")
    check_training(definition)
    metrics = [m["Name"] for m in definition["AlgorithmSpecification"].get("MetricDefinitions", ())]
    if objective["MetricName"] not in metrics:
        raise invalid(f"The objective metric {objective['MetricName']} is not among the MetricDefinitions: {metrics}")


def _check_offered(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the laptop cannot do is refused: a search that ignores half of its request would mislead."""
    definition: Mapping[str, Any] | None = request.get("TrainingJobDefinition")
    if definition is None or "TrainingJobDefinitions" in request:
        raise limit_exceeded("The laptop's SageMaker tunes one TrainingJobDefinition; give exactly that")
    config = request["HyperParameterTuningJobConfig"]
    criteria = config.get("TuningJobCompletionCriteria", {})
    refused = {
        "ConvergenceDetected": criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled",
        "WarmStartConfig": request.get("WarmStartConfig"),
        "Autotune": request.get("Autotune"),
        "AutoParameters": config.get("ParameterRanges", {}).get("AutoParameters"),
        "HyperParameterTuningResourceConfig": definition.get("HyperParameterTuningResourceConfig"),
    }
    for name in (name for name, given in refused.items() if given):
        raise limit_exceeded(f"{name} is not offered by the laptop's SageMaker")
    return definition


def _check_names(names: list[str], *, static: set[str]) -> None:
    if not names:
        raise invalid("ParameterRanges must hold at least one range")
    if len(names) > MAX_RANGES:
        raise invalid(f"At most {MAX_RANGES} hyperparameters can be searched, not {len(names)}")
    for name in names:
        if names.count(name) > 1 or name in static:
            raise invalid(f"Hyperparameter {name} is given more than once, or both searched and static")


def _check_jobs(config: Mapping[str, Any], searched: list[Range]) -> None:
    limits = config["ResourceLimits"]
    given = limits.get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        if any(item.kind != "categorical" for item in searched):
            raise invalid("Grid search takes categorical ranges only")
        if given not in (None, most_jobs(config)):
            raise invalid(
                f"MaxNumberOfTrainingJobs of a Grid search must be left out or be {most_jobs(config)}, the number of "
                f"combinations, not {given}"
            )
    elif given is None and "MaxRuntimeInSeconds" not in limits and not config.get("TuningJobCompletionCriteria"):
        raise invalid("MaxNumberOfTrainingJobs, MaxRuntimeInSeconds or TuningJobCompletionCriteria must end the search")
    if most_jobs(config) > MAX_TRAINING_JOBS:
        raise limit_exceeded(f"A tuning job has at most {MAX_TRAINING_JOBS} training jobs, not {most_jobs(config)}")
