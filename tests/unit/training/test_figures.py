"""Figures are real pictures, and the numbers beside them are those of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn import metrics as sk

from training.figures.draw import POINTS_FILE, draw_all

RANDOM = np.random.default_rng(4)
TRUTH = RANDOM.normal(size=2_000)
NAMES = np.asarray(["hot", "mild", "cold"], dtype=object)


def rows_of(task: str, noise: float = 0.5) -> dict[str, Any]:
    """Return labels and what a model said of them; more noise, worse model."""
    seen = TRUTH + noise * np.random.default_rng(5).normal(size=len(TRUTH))
    if task == "regression":
        return {"labels": TRUTH, "predictions": seen, "probabilities": None, "classes": np.asarray([])}
    if task == "binary":
        share = 1 / (1 + np.exp(-2 * seen))
        shares, labels, classes = np.column_stack([1 - share, share]), (TRUTH > 0.5).astype(int), np.asarray([0, 1])
    else:
        raw = np.exp(np.column_stack([seen, -np.abs(seen), -seen]))
        shares, classes = raw / raw.sum(axis=1, keepdims=True), NAMES
        labels = NAMES[np.digitize(-TRUTH, [-0.6, 0.6])]
    return {
        "labels": labels,
        "predictions": classes[shares.argmax(axis=1)],
        "probabilities": shares,
        "classes": classes,
    }


def drawn(folder: Path, task: str, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw the figures of a task; returns their points and the rows."""
    rows = rows_of(task) | changes
    names = draw_all(folder, task=task, title="test", **rows)
    points = json.loads((folder / POINTS_FILE).read_text())
    assert names == [f"{name}.png" for name in points]
    return points, rows


@pytest.mark.parametrize(
    ("task", "figures"),
    [
        ("binary", {"roc", "precision_recall", "calibration", "gain"}),
        ("multiclass", {"confusion", "roc", "calibration"}),
        ("regression", {"predicted_actual", "residuals", "residuals_predicted"}),
    ],
)
def test_each_task_has_its_figures_and_another_model_looks_otherwise(
    tmp_path: Path, task: str, figures: set[str]
) -> None:
    points, _ = drawn(tmp_path / "one", task)
    assert set(points) == figures
    worse = rows_of(task, noise=3.0)
    draw_all(tmp_path / "other", task=task, title="test", **worse)
    for name in figures:
        path = tmp_path / "one" / f"{name}.png"
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        picture, other = imread(path), imread(tmp_path / "other" / f"{name}.png")
        assert min(picture.shape[:2]) > 300
        plot = picture[60:-60, 80:-40, :3]  # inside the axes
        assert 0.002 < np.mean(np.any(plot < 0.9, axis=2)) < 0.999
        assert not np.array_equal(picture, other)


def test_the_numbers_of_a_binary_task_are_those_of_scikit_learn(tmp_path: Path) -> None:
    points, rows = drawn(tmp_path, "binary")
    labels, positive = rows["labels"], rows["probabilities"][:, 1]
    (roc,) = points["roc"]["curves"]
    assert roc["auc"] == pytest.approx(sk.roc_auc_score(labels, positive))
    assert np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"]) == pytest.approx(roc["auc"], abs=0.01)
    assert len(roc["true_positive_rate"]) <= 400
    pairs = zip(points["precision_recall"]["recall"], points["precision_recall"]["precision"], strict=True)
    precision, recall, _ = sk.precision_recall_curve(labels, positive)
    assert set(pairs) <= set(zip(recall.tolist(), precision.tolist(), strict=True))
    shown = points["calibration"]
    assert sum(shown["rows"]) == len(labels)
    assert np.dot(shown["share"], shown["rows"]) == pytest.approx(labels.sum())
    best = labels[np.argsort(-positive)][:200].sum() / labels.sum()
    gain = np.interp(0.1, points["gain"]["share_of_rows"], points["gain"]["share_of_positives"])
    assert gain == pytest.approx(best, abs=0.01)


def test_the_numbers_of_several_classes_are_those_of_scikit_learn(tmp_path: Path) -> None:
    points, rows = drawn(tmp_path, "multiclass")
    matrix = sk.confusion_matrix(rows["labels"], rows["predictions"], labels=NAMES, normalize="true")
    np.testing.assert_allclose(points["confusion"]["shares"], matrix)
    for place, curve in enumerate(points["roc"]["curves"]):
        assert curve["class"] == NAMES[place]
        expected = sk.roc_auc_score(rows["labels"] == NAMES[place], rows["probabilities"][:, place])
        assert curve["auc"] == pytest.approx(expected)
    right = np.dot(points["calibration"]["share"], points["calibration"]["rows"]) / len(TRUTH)
    assert right == pytest.approx(sk.accuracy_score(rows["labels"], rows["predictions"]))


def test_the_numbers_of_a_regression_are_the_rows(tmp_path: Path) -> None:
    points, rows = drawn(tmp_path, "regression")
    cloud = points["predicted_actual"]
    pairs = set(zip(rows["labels"].tolist(), rows["predictions"].tolist(), strict=True))
    assert set(zip(cloud["actual"], cloud["predicted"], strict=True)) <= pairs
    assert 500 < len(cloud["actual"]) <= 1_500
    assert sum(points["residuals"]["rows"]) == len(TRUTH)
    spread = points["residuals_predicted"]
    np.testing.assert_allclose(spread["residual"], np.subtract(cloud["actual"], cloud["predicted"]))


def test_a_class_that_no_model_knows_is_left_out_of_the_matrix_and_breaks_nothing(tmp_path: Path) -> None:
    labels = rows_of("multiclass")["labels"].copy()
    labels[:50] = "never seen"
    points, _ = drawn(tmp_path, "multiclass", labels=labels)
    assert np.asarray(points["confusion"]["shares"]).shape == (3, 3)


@pytest.mark.parametrize(
    "changes", [{"labels": np.zeros(len(TRUTH), dtype=int)}, {"probabilities": np.full((len(TRUTH), 2), np.nan)}]
)
def test_what_cannot_be_drawn_gives_no_figure(tmp_path: Path, changes: dict[str, Any]) -> None:
    points, _ = drawn(tmp_path, "binary", **changes)
    assert points == {}
