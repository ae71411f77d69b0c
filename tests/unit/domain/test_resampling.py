"""Resampled metrics are those of the drawn rows, blocks are drawn whole, and days make wider intervals than rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passerelle.domain.metrics import score
from passerelle.domain.project.metric_names import METRICS
from passerelle.domain.resampled import resampled_scores
from passerelle.domain.resampling import MAX_BLOCKS, Blocks, draw_weights, make_blocks

NAMES = np.asarray(["a", "b", "c"], dtype=object)
CASES = [(task, name) for task, names in METRICS.items() for name in names]


def rows_of(task: str, rows: int, seed: int) -> tuple[Any, Any, Any, Any]:
    """Labels, predictions, probabilities with many ties, classes."""
    generator = np.random.default_rng(seed)
    if task == "regression":
        labels = np.round(generator.normal(1_000, 5, rows), 1)
        return labels, np.round(labels + generator.normal(size=rows), 1), None, np.asarray([])
    classes = np.asarray([0, 1]) if task == "binary" else NAMES
    places = generator.integers(0, len(classes), rows)
    raw = np.round(generator.random((rows, len(classes))) + 0.5 * np.eye(len(classes))[places], 1) + 0.1
    shares = raw / raw.sum(axis=1, keepdims=True)
    return classes[places], classes[np.argmax(shares, axis=1)], shares, classes


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_resampled_metric_is_the_metric_of_the_drawn_rows(task: str, name: str) -> None:
    labels, predictions, shares, classes = rows_of(task, 90, seed=4)
    blocks = Blocks(np.arange(90) % 12, 12, "day")
    weights = draw_weights(blocks, seed=1, rounds=15)
    found = resampled_scores(name, task, labels, predictions, shares, classes, blocks=blocks, weights=weights)
    for drawn, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(90), drawn[blocks.of_row].astype(int))
        part = shares[rows] if shares is not None else None
        assert value == pytest.approx(score(name, task, labels[rows], predictions[rows], part, classes), rel=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "balanced_accuracy"])
def test_a_large_part_is_worked_on_piece_by_piece_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    labels, predictions, shares, classes = rows_of("binary", 400, seed=2)
    blocks = make_blocks(400, by="row")
    weights = draw_weights(blocks, seed=0, rounds=30)

    def found() -> Any:
        return resampled_scores(name, "binary", labels, predictions, shares, classes, blocks=blocks, weights=weights)

    whole = found()
    monkeypatch.setattr("passerelle.domain.resampled._LEVELS", 3)
    monkeypatch.setattr("passerelle.domain.resampled._CELLS", 900)
    np.testing.assert_allclose(found(), whole, rtol=1e-12)


def test_a_resample_of_one_class_leaves_the_area_undefined() -> None:
    labels = np.asarray([1, 0, 0, 0])
    shares = np.column_stack([1 - np.linspace(0.1, 0.4, 4), np.linspace(0.1, 0.4, 4)])
    blocks = make_blocks(4, by="row")
    found = resampled_scores(
        "roc_auc", "binary", labels, labels, shares, np.asarray([0, 1]), blocks=blocks,
        weights=np.asarray([[0.0, 2, 1, 1], [1, 1, 1, 1]]),
    )  # fmt: skip
    assert np.isnan(found[0])
    assert found[1] == 0.0


def test_days_are_drawn_whole_where_there_are_enough_of_them() -> None:
    times = np.datetime64("2026-01-01") + (np.arange(600) // 20).astype("timedelta64[D]")
    blocks = make_blocks(600, by="auto", times=times)
    assert (blocks.unit, blocks.count) == ("day", 30)
    assert len(set(blocks.of_row[:20])) == 1
    assert make_blocks(600, by="auto", times=times[:1].repeat(600)).unit == "row"
    assert make_blocks(600, by="row", times=times).unit == "row"


def test_many_units_become_random_groups_and_many_days_neighbouring_ones() -> None:
    times = np.datetime64("2020-01-01") + np.arange(1_000).astype("timedelta64[D]")
    days, rows = make_blocks(1_000, by="day", times=times), make_blocks(1_000, by="row")
    assert days.count == rows.count == MAX_BLOCKS
    assert np.all(np.diff(days.of_row) >= 0)
    assert not np.all(np.diff(rows.of_row) >= 0)
    assert np.all(np.bincount(rows.of_row) == 5)
    entities = make_blocks(6, by="entity", entities=np.asarray(["a", "b", "a", "c", "b", "a"]))
    assert list(entities.of_row) == [0, 1, 0, 2, 1, 0]


def test_groups_of_independent_rows_vary_as_the_rows_do() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    blocks = make_blocks(20_000, by="row")
    found = resampled_scores(
        "mae", "regression", values, np.zeros(20_000), None, np.asarray([]), blocks=blocks,
        weights=draw_weights(blocks, seed=0),
    )  # fmt: skip
    assert np.std(found) == pytest.approx(np.std(np.abs(values)) / 20_000**0.5, rel=0.15)


def test_rows_that_vary_with_their_day_make_the_interval_wider() -> None:
    generator = np.random.default_rng(3)
    times = np.datetime64("2026-01-01") + (np.arange(3_000) // 50).astype("timedelta64[D]")
    errors = generator.normal(size=60).repeat(50) + generator.normal(size=3_000)
    spread = {}
    for by in ("day", "row"):
        blocks = make_blocks(3_000, by=by, times=times)  # type: ignore[arg-type]
        weights = draw_weights(blocks, seed=0)
        found = resampled_scores(
            "rmse", "regression", errors, np.zeros(3_000), None, np.asarray([]), blocks=blocks, weights=weights
        )
        spread[by] = float(np.std(found))
    assert spread["day"] > 2.5 * spread["row"]
