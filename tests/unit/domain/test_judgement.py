"""Metrics, choice, threshold and gate as pure functions: known values, and what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.estimators import LevelEncoder
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.decision import best_threshold, total_value
from passerelle.domain.gate import check_gate
from passerelle.domain.metrics import bootstrap_scores, score_all
from passerelle.domain.profile import profile_frame
from passerelle.domain.project.metric_names import METRICS
from passerelle.domain.project.model import Value
from passerelle.domain.project.training import Gate

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


def test_resamples_are_the_same_for_the_same_seed_and_size() -> None:
    labels = np.arange(50) % 2
    positive = np.linspace(0, 1, 50)
    scores = [
        bootstrap_scores("roc_auc", "binary", labels, labels, both(*positive), np.asarray([0, 1]), seed=3)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*scores)
    assert np.nanstd(scores[0]) > 0


def test_the_threshold_is_the_one_of_greatest_value() -> None:
    labels = np.asarray([0] * 50 + [1] * 50)
    positive = np.concatenate([np.linspace(0.05, 0.6, 50), np.linspace(0.4, 0.95, 50)])
    dear_misses = Value(true_positive=40, false_positive=-1, false_negative=-400)
    dear_alarms = Value(true_positive=1, false_positive=-400, false_negative=-1)
    low, high = (best_threshold(value, labels, positive) for value in (dear_misses, dear_alarms))
    assert low < high
    for value, threshold in ((dear_misses, low), (dear_alarms, high)):
        assert total_value(value, labels, positive, threshold) >= total_value(value, labels, positive, 0.5)


def gate(**changes: Any) -> dict[str, bool]:
    values: dict[str, Any] = {
        "metric": "rmse",
        "greater_is_better": False,
        "candidate": 90.0,
        "baseline": 100.0,
        "champion_difference": None,
        "outputs": np.ones(3),
    } | changes
    return {check.name: check.passed for check in check_gate(Gate(beats_baseline_by=5), **values)}


def test_smaller_errors_beat_the_baseline_and_equal_ones_do_not() -> None:
    assert all(gate().values())
    assert not gate(candidate=96.0)["beats_baseline"]
    assert not gate(candidate=None)["beats_baseline"]


def test_one_output_that_is_no_number_refuses_the_model() -> None:
    assert not gate(outputs=np.asarray([1.0, np.nan]))["finite_outputs"]


def test_a_worse_model_than_the_champion_is_refused_within_what_is_allowed() -> None:
    assert gate(champion_difference=(-0.005, -0.1))["not_worse_than_champion"]
    assert not gate(champion_difference=(-0.5, -0.6))["not_worse_than_champion"]


@pytest.mark.parametrize("scale", [0.001, 1.0, 100_000.0])
def test_the_segment_rule_does_not_depend_on_the_unit_of_the_label(scale: float) -> None:
    def passed(share: float) -> bool:
        row = {"column": "c", "value": "v", "rows": 300, "score": scale * (1 + share)}
        return gate(segments=[row | {"better_than_baseline": -share * scale}])["segment:c=v"]

    assert passed(0.001)
    assert not passed(0.5)


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
    assert profile_frame(frame, inputs)["columns"]["number"]["missing"] == 2


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
