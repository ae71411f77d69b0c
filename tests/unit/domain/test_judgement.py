"""Metrics and model inputs as pure functions: known values, and what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.estimators import LevelEncoder
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.metrics import score_all
from passerelle.domain.project.metric_names import METRICS

NOTHING = np.asarray([])
TWO = np.asarray(["a", "b"], dtype=object)


def both(*positive: float) -> Any:
    return np.column_stack([1 - np.asarray(positive), positive])


def test_every_metric_of_a_task_is_scored_and_perfect_predictions_are_best() -> None:
    labels = np.asarray([0, 1, 0, 1])
    found = score_all("binary", labels, labels, both(0.0, 1.0, 0.0, 1.0), np.asarray([0, 1]))
    assert found.keys() == METRICS["binary"].keys()
    for name, value in found.items():
        assert value == pytest.approx(1.0 if METRICS["binary"][name] else 0.0, abs=1e-9)


def test_known_values_of_a_regression() -> None:
    found = score_all("regression", np.asarray([1.0, 2.0, 3.0]), np.asarray([1.0, 2.0, 6.0]), None, NOTHING)
    assert found["mae"] == pytest.approx(1.0)
    assert found["rmse"] == pytest.approx(3**0.5)
    assert found["median_absolute_error"] == 0.0
    assert found["r2"] == pytest.approx(1 - 9 / 2)


def test_what_one_class_leaves_undefined_is_left_out() -> None:
    labels = np.zeros(3, dtype=int)
    found = score_all("binary", labels, labels, both(0.1, 0.2, 0.3), np.asarray([0, 1]))
    assert "roc_auc" not in found
    assert found["accuracy"] == 1.0


def test_a_class_unknown_to_the_model_leaves_its_log_loss_undefined() -> None:
    labels = np.asarray(["a", "b", "c"], dtype=object)
    found = score_all("multiclass", labels, np.asarray(["a", "b", "a"], dtype=object), both(0.1, 0.8, 0.2), TWO)
    assert "log_loss" not in found
    assert "roc_auc" not in found
    assert found["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("task", "predictions", "probabilities", "classes"),
    [
        ("regression", np.asarray([0.0, np.nan]), None, NOTHING),
        ("binary", np.asarray([0, 1]), np.asarray([[1.0, 0.0], [np.nan, np.nan]]), np.asarray([0, 1])),
    ],
)
def test_outputs_that_are_not_numbers_have_no_score_so_that_the_gate_can_say_why(
    task: str, predictions: Any, probabilities: Any, classes: Any
) -> None:
    assert score_all(task, np.asarray([0, 1]), predictions, probabilities, classes) == {}


def test_categories_of_a_small_table_keep_their_codes() -> None:
    import pandas as pd

    frame = pd.DataFrame({"plan": np.repeat(list("abcdefghij"), 12)})
    assert len(np.unique(LevelEncoder().fit_transform(frame))) == 10


def test_missing_values_of_every_type_are_read() -> None:
    inputs = tuple(
        SignatureColumn(name=kind, type=kind, nullable=True)
        for kind in ("integer", "number", "boolean", "category", "text", "datetime")
    )
    frame = typed_frame({column.name: [None, None] for column in inputs}, inputs)
    assert frame.isna().all().all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_mlflow_model_of_xgboost_asks_for_xgboost(tmp_path: Any, task: Any) -> None:
    from passerelle.aws.mlflow_models import save_model
    from tests.serving import INPUTS, make_bundle, rows_of
    from training.bundle.trusted import TRUSTED_TYPES

    bundle = make_bundle(task, tmp_path / "bundle", candidate="xgboost")
    example = typed_frame(rows_of(3), INPUTS)
    save_model(tmp_path / "model", bundle.pipeline, bundle.signature, example, trusted=TRUSTED_TYPES)
    assert "xgboost-cpu==" in (tmp_path / "model" / "requirements.txt").read_text()
    assert make_candidate("xgboost", task=task, inputs=INPUTS, time_parts=(), seed=0, threads=1)
