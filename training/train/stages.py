"""Fit in stages of boosting rounds or trees: the same model as one fit, usable at every stage.

What a pruner needs to stop a hopeless trial, and a checkpoint to go on after a spot interruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline

from passerelle.domain.candidates.estimators import LabelledClassifier

Weights = npt.NDArray[Any] | None
#: XGBoost's samplers start anew every so many rounds (from the seed and the round), so that a fit that goes on from a
#: file draws what an uninterrupted one draws: their state is in no file (dmlc/xgboost issues 6711 and 10324).
LEG: Final = 5

_WARM: Final[dict[type, str]] = {
    HistGradientBoostingClassifier: "max_iter",
    HistGradientBoostingRegressor: "max_iter",
    RandomForestClassifier: "n_estimators",
    RandomForestRegressor: "n_estimators",
}


def rounds_of(pipeline: Pipeline) -> int:
    """Return how many boosting rounds or trees the pipeline's model is to have, 1 when it is fitted in one go."""
    model = _innermost(pipeline)
    return int(model.get_params()[_rounds_name(model)]) if _rounds_name(model) else 1


def fit_in_stages(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    labels: npt.NDArray[Any],
    *,
    stages: Iterable[int],
    weights: Weights = None,
    done: int = 0,
) -> Iterator[int]:
    """Fit a candidate's pipeline; yield the number of rounds it has after each stage, when it is fit to predict.

    The model after `n` rounds does not depend on the stages before. A model that knows no rounds (a linear one) is
    fitted whole and yields the last stage only.

    Parameters
    ----------
    stages : rising numbers of rounds at which to stop; the last is the whole fit. Each is asked for when the one
        before has ended, so that they may depend on how long it took.
    weights : shape (n_rows,), None for equal weights.
    done : rounds that the pipeline has already, fitted on the same rows with the same parameters (from a file, say).
        XGBoost goes on exactly as if uninterrupted from multiples of `LEG`.
    """
    left = (stage for stage in stages if stage > done)
    # Refitted also when going on: an encoder that fits and transforms at once may do so differently from transform.
    inputs = pipeline[:-1].fit_transform(frame, labels) if len(pipeline) > 1 else frame
    model, outer = _innermost(pipeline), pipeline.steps[-1][1]
    if isinstance(outer, LabelledClassifier):
        outer.classes_, labels = np.unique(np.asarray(labels), return_inverse=True)
        outer.estimator_ = model
    name = _rounds_name(model)
    if not name:
        whole = next(left, None)
        model.fit(inputs, labels, **_weighted(weights))
        if whole is not None:
            yield whole
    elif type(model) in _WARM:
        yield from _grow(model, name, inputs, labels, weights, left)
    else:
        yield from _boost(model, inputs, labels, weights, left, done)


def _innermost(pipeline: Pipeline) -> Any:
    model = pipeline.steps[-1][1]
    if isinstance(model, LabelledClassifier):
        return getattr(model, "estimator_", None) or model.estimator
    return model


def _rounds_name(model: Any) -> str | None:
    # By name: importing XGBoost takes a second that a project without it need not wait for.
    return "n_estimators" if type(model).__module__.startswith("xgboost.") else _WARM.get(type(model))


def _weighted(weights: Weights) -> dict[str, Any]:
    return {} if weights is None else {"sample_weight": weights}


def _grow(
    model: Any, name: str, inputs: Any, labels: npt.NDArray[Any], weights: Weights, stages: Iterable[int]
) -> Iterator[int]:
    for stage in stages:
        model.set_params(**{name: stage}, warm_start=True)
        model.fit(inputs, labels, **_weighted(weights))
        model.set_params(warm_start=False)
        yield stage


def _boost(
    model: Any, inputs: Any, labels: npt.NDArray[Any], weights: Weights, stages: Iterable[int], done: int
) -> Iterator[int]:
    from xgboost import QuantileDMatrix

    if not done:
        # No tree yet, but all else that XGBoost's `fit` does: the objective, the classes.
        model.set_params(n_estimators=0).fit(inputs, labels, **_weighted(weights))
    booster = model.get_booster()
    booster.set_param({**model.get_xgb_params(), "seed_per_iteration": True})
    settings = {"max_bin": model.max_bin or 256, "missing": model.missing, "nthread": model.n_jobs}
    matrix = QuantileDMatrix(inputs, label=labels, weight=weights, **settings)
    for stage in stages:
        for number in range(done, stage):
            if number % LEG == 0:
                _renew_samplers(booster, model.tree_method or "hist")
            booster.update(matrix, number)
        done = stage
        model.set_params(n_estimators=done)
        yield done


def _renew_samplers(booster: Any, method: str) -> None:
    """Let the samplers start from the seed and the round.

    They live in the tree builder, which another tree method replaces. `Booster.reset` would do it too, but also forget
    the predictions so far, and so look at every tree again.
    """
    for each in ("hist" if method == "approx" else "approx", method):
        booster.set_param({"tree_method": each})
        booster.num_boosted_rounds()  # a parameter is taken over by the next call that needs it


@dataclass(frozen=True)
class StageCosts:
    """What stages of a fit may be: multiples of `least` rounds; a stage that takes `extra` costs more than its rounds.

    Histogram boosting sorts all rows into bins, and asks all trees so far, for each stage.
    """

    least: int
    extra: bool


def stage_costs(pipeline: Pipeline) -> StageCosts:
    """Return what is known of the stages of a pipeline's model before it is fitted."""
    model = _innermost(pipeline)
    if isinstance(model, RandomForestClassifier | RandomForestRegressor):
        return StageCosts(max(1, model.n_jobs or 1), extra=False)  # a tree per thread
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return StageCosts(1, extra=True)
    return StageCosts(LEG if _rounds_name(model) else 1, extra=False)


def fit_whole(pipeline: Pipeline, frame: pd.DataFrame, labels: npt.NDArray[Any], *, weights: Weights = None) -> None:
    """Fit without a stop, to the model that a fit in stages ends with."""
    for _ in fit_in_stages(pipeline, frame, labels, stages=(rounds_of(pipeline),), weights=weights):
        pass
