"""What tuning may change of each candidate: one definition, for Optuna in the job and for SageMaker's tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Value = float | int | str


@dataclass(frozen=True)
class Dimension:
    """One parameter of a model, by the library's own name: its range, or the values it may take.

    `usual` is what the candidate has untuned: the first trial.
    """

    name: str
    kind: Literal["float", "int", "category"]
    usual: Value
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    values: tuple[str, ...] = ()

    def holds(self, value: Value) -> bool:
        """Return whether the search may take this value."""
        if self.kind == "category" or isinstance(value, str):
            return value in self.values
        return self.low <= value <= self.high

    def start(self) -> Value:
        """Return the usual value, or the one nearest to it that the range holds."""
        if self.kind == "category":
            return self.usual if self.usual in self.values else self.values[0]
        held = min(max(float(self.usual), self.low), self.high)
        return round(held) if self.kind == "int" else held

    def parse(self, text: str) -> Value:
        """Return the value that a SageMaker hyperparameter's text stands for."""
        if self.kind == "category":
            return text
        return round(float(text)) if self.kind == "int" else float(text)


@dataclass(frozen=True)
class Space:
    """The dimensions of a candidate, and how long its longest fit is.

    `rounds` names the parameter that holds the number of boosting rounds or trees, `most` is its largest value: a
    trial is fitted in stages up to it and keeps the number that scored best, so that it is no dimension.
    """

    candidate: str
    dimensions: tuple[Dimension, ...]
    rounds: str | None = None
    most: int = 1

    def start(self) -> dict[str, Value]:
        """Return the candidate's usual parameters, as far as they are tuned."""
        return {dimension.name: dimension.start() for dimension in self.dimensions}


@dataclass(frozen=True)
class Override:
    """What a project says of one dimension: another range, other values, or (`off`) not to tune it."""

    off: bool = False
    low: float | None = None
    high: float | None = None
    log: bool | None = None
    values: tuple[str, ...] | None = None


def _real(name: str, usual: float, low: float, high: float, *, log: bool = False) -> Dimension:
    return Dimension(name, "float", usual, low, high, log)


def _whole(name: str, usual: int, low: int, high: int, *, log: bool = False) -> Dimension:
    return Dimension(name, "int", usual, low, high, log)


#: Rounds of a boosted model's longest fit: a multiple of the stages' 27 parts (see `stages`).
BOOSTING_ROUNDS: Final = 405

#: The quickest to judge first.
SPACES: Final[Mapping[str, Space]] = {
    space.candidate: space
    for space in (
        Space("logistic", (_real("C", 0.5, 1e-3, 100.0, log=True),)),
        Space("linear", (_real("alpha", 1.0, 1e-3, 1e4, log=True),)),
        Space(
            "xgboost",
            (
                _real("learning_rate", 0.06, 0.02, 0.3, log=True),
                _whole("max_depth", 6, 2, 10),
                _real("min_child_weight", 1.0, 1.0, 100.0, log=True),
                _real("subsample", 0.8, 0.5, 1.0),
                _real("colsample_bytree", 0.8, 0.3, 1.0),
                _real("reg_lambda", 1.0, 1e-2, 50.0, log=True),
            ),
            "n_estimators",
            BOOSTING_ROUNDS,
        ),
        Space(
            "hist_gradient_boosting",
            (
                _real("learning_rate", 0.06, 0.02, 0.3, log=True),
                _whole("max_leaf_nodes", 31, 6, 127, log=True),
                _whole("min_samples_leaf", 20, 5, 300, log=True),
                _real("l2_regularization", 0.01, 1e-3, 30.0, log=True),
            ),
            "max_iter",
            BOOSTING_ROUNDS,
        ),
        Space(
            "random_forest",
            (
                _whole("min_samples_leaf", 25, 5, 200, log=True),
                _real("max_features", 0.35, 0.15, 1.0),
                _real("max_samples", 0.4, 0.2, 0.9),
            ),
            "n_estimators",
            108,
        ),
    )
}

#: Parts of the longest fit after which a trial is scored; Hyperband's rungs for a reduction by 3 are 1, 3, 9 and 27.
STEPS: Final = (1, 3, 6, 9, 13, 18, 27)
WHOLE: Final = STEPS[-1]


def stages(space: Space) -> dict[int, int]:
    """Return {rounds: step}: where the fit of a trial stops to be scored."""
    return {max(1, space.most * step // WHOLE): step for step in STEPS}


def spaces(
    candidates: Sequence[str], overrides: Mapping[str, Mapping[str, Override]] | None = None
) -> tuple[Space, ...]:
    """Return the spaces of these candidates, as the project changes them; one with nothing to tune is left out."""
    changed = (_changed(SPACES[name], (overrides or {}).get(name, {})) for name in candidates if name in SPACES)
    return tuple(space for space in changed if space.dimensions)


def _changed(space: Space, overrides: Mapping[str, Override]) -> Space:
    kept = [item for item in space.dimensions if not overrides.get(item.name, Override()).off]
    return replace(space, dimensions=tuple(_overridden(item, overrides.get(item.name)) for item in kept))


def _overridden(dimension: Dimension, override: Override | None) -> Dimension:
    if override is None:
        return dimension
    given: dict[str, Any] = {name: getattr(override, name) for name in ("low", "high", "log", "values")}
    return replace(dimension, **{name: value for name, value in given.items() if value is not None})


def problem(dimension: Dimension) -> str | None:
    """Return what is wrong with a dimension, None when it can be searched."""
    if dimension.kind == "category":
        return None if dimension.values else "names no value"
    if dimension.low >= dimension.high:
        return f"low ({dimension.low:g}) must be below high ({dimension.high:g})"
    if dimension.log and dimension.low <= 0:
        return f"low ({dimension.low:g}) must be above 0 on a logarithmic scale"
    if dimension.kind == "int" and not (float(dimension.low).is_integer() and float(dimension.high).is_integer()):
        return "low and high must be whole numbers"
    return None


def suggest(trial: Any, dimension: Dimension, name: str) -> Value:
    """Return the value that an Optuna trial takes for a dimension, which it knows by `name`."""
    if dimension.kind == "category":
        return str(trial.suggest_categorical(name, dimension.values))
    if dimension.kind == "int":
        return int(trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log))
    return float(trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log))


def parameter_ranges(space: Space) -> dict[str, list[dict[str, Any]]]:
    """Return ParameterRanges of CreateHyperParameterTuningJob; SageMaker takes numbers as text."""
    ranges: dict[str, list[dict[str, Any]]] = {}
    for item in space.dimensions:
        if item.kind == "category":
            ranges.setdefault("CategoricalParameterRanges", []).append({"Name": item.name, "Values": [*item.values]})
            continue
        name = "IntegerParameterRanges" if item.kind == "int" else "ContinuousParameterRanges"
        low, high = (f"{round(end)}" if item.kind == "int" else f"{end:g}" for end in (item.low, item.high))
        scale = "Logarithmic" if item.log else "Linear"
        ranges.setdefault(name, []).append({"Name": item.name, "MinValue": low, "MaxValue": high, "ScalingType": scale})
    return ranges
