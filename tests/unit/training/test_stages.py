"""A fit in stages is the same model as one fit, wherever it stopped in between, also when it went on from a file."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.pipelines import make_candidate
from training.train.predict import predict
from training.train.stages import LEG, fit_in_stages, fit_whole, rounds_of

INPUTS = (
    *(SignatureColumn(name=name, type="number") for name in ("a", "b", "c")),
    SignatureColumn(name="place", type="category"),
)
SMALL = {
    "random_forest": {"n_estimators": 35},
    "hist_gradient_boosting": {"max_iter": 35},
    "xgboost": {"n_estimators": 35, "max_depth": 3},
}
TASKS = ("binary", "multiclass", "regression")
EVERY = [(name, task) for name in SMALL for task in TASKS]


def _rows(task: str, count: int = 200) -> tuple[pd.DataFrame, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({name: generator.normal(size=count) for name in ("a", "b", "c")})
    frame["place"] = generator.choice(["north", "south", "west"], size=count)
    signal = frame["a"] + frame["b"] * frame["c"] + (frame["place"] == "west") + generator.normal(size=count)
    labels: Any = signal.to_numpy()
    if task == "binary":
        labels = (labels > 0).astype(np.int64)
    if task == "multiclass":
        labels = np.asarray(["low", "middle", "high"], dtype=object)[np.digitize(labels, [-0.7, 0.7])]
    return frame, labels, generator.uniform(0.5, 2.0, size=count)


def _pipeline(name: str, task: str, **more: Any) -> Pipeline:
    params = SMALL.get(name, {}) | more
    return make_candidate(name, task=task, inputs=INPUTS, time_parts=(), seed=3, threads=1, params=params)


def _answers(pipeline: Pipeline, frame: pd.DataFrame, task: str) -> np.ndarray[Any, Any]:
    predicted = predict(pipeline, frame, task)
    return predicted.predictions if predicted.probabilities is None else predicted.probabilities


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_staged_fit_predicts_exactly_what_one_fit_does(name: str, task: str) -> None:
    frame, labels, weights = _rows(task)
    whole, staged = _pipeline(name, task), _pipeline(name, task)
    fit_whole(whole, frame, labels, weights=weights)
    reached = list(fit_in_stages(staged, frame, labels, weights=weights, stages=(7, 20, 35)))
    assert reached == [7, 20, 35]
    assert np.array_equal(_answers(staged, frame, task), _answers(whole, frame, task))
    assert rounds_of(staged) == rounds_of(whole) == 35
    assert not staged.named_steps["model"].get_params().get("warm_start")


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_after_each_stage_the_model_is_one_that_was_fitted_with_so_many_rounds(name: str, task: str) -> None:
    frame, labels, _ = _rows(task)
    staged = _pipeline(name, task)
    rounds = next(key for key in SMALL[name] if key in ("n_estimators", "max_iter"))
    for reached in fit_in_stages(staged, frame, labels, stages=(10, 35)):
        short = _pipeline(name, task, **{rounds: reached})
        fit_whole(short, frame, labels)
        assert np.array_equal(_answers(staged, frame, task), _answers(short, frame, task))


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_fit_that_went_on_from_a_file_is_the_one_that_was_never_interrupted(name: str, task: str) -> None:
    frame, labels, weights = _rows(task)
    whole, cut = _pipeline(name, task), _pipeline(name, task)
    fit_whole(whole, frame, labels, weights=weights)
    next(fit_in_stages(cut, frame, labels, weights=weights, stages=(LEG, 35)))
    again = pickle.loads(pickle.dumps(cut))
    # What another model draws in between must not matter either.
    fit_whole(_pipeline(name, task, max_depth=2), frame, labels)
    assert list(fit_in_stages(again, frame, labels, weights=weights, stages=(LEG, 35), done=LEG)) == [35]
    assert np.array_equal(_answers(again, frame, task), _answers(whole, frame, task))


@pytest.mark.parametrize("name", ["random_forest", "hist_gradient_boosting"])
def test_a_fit_in_stages_is_the_library_s_own_fit(name: str) -> None:
    frame, labels, _ = _rows("binary")
    staged, own = _pipeline(name, "binary"), _pipeline(name, "binary").fit(frame, labels)
    fit_whole(staged, frame, labels)
    assert np.array_equal(_answers(staged, frame, "binary"), _answers(own, frame, "binary"))


def test_without_sampling_xgboost_in_stages_is_its_own_fit() -> None:
    frame, labels, _ = _rows("binary")
    everything = {"subsample": 1.0, "colsample_bytree": 1.0}
    staged = _pipeline("xgboost", "binary", **everything)
    own = _pipeline("xgboost", "binary", **everything).fit(frame, labels)
    fit_whole(staged, frame, labels)
    assert np.array_equal(_answers(staged, frame, "binary"), _answers(own, frame, "binary"))


def test_a_model_without_rounds_is_fitted_whole_and_told_once() -> None:
    frame, labels, _ = _rows("binary")
    pipeline = _pipeline("logistic", "binary")
    assert rounds_of(pipeline) == 1
    assert list(fit_in_stages(pipeline, frame, labels, stages=(1,))) == [1]
    own = _pipeline("logistic", "binary").fit(frame, labels)
    assert np.array_equal(_answers(pipeline, frame, "binary"), _answers(own, frame, "binary"))
