"""Records of several classes count as the model answered: all probabilities of a row, or none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerelle.aws import recorded_window
from passerelle.aws.parquet_file import write_parquet
from passerelle.aws.recorded_window import count_window
from passerelle.contracts.monitoring import CountQuestion
from passerelle.contracts.prediction import PROBABILITIES, prediction_columns
from passerelle.domain.drift.concept import Confirmed, confirm
from passerelle.domain.drift.estimated import Expected, estimate, expect
from tests.unit.steps.watched import FIRST, Rows
from tests.unit.steps.watched_classes import CLASSES, INPUTS, asked, class_performance, class_reference, labels_of

QUESTION = CountQuestion(
    start="2026-11-01T00:00:00+00:00", end="2026-11-02T00:00:00+00:00", variant="champion", version="4"
)
REFERENCE, PERFORMANCE = class_reference(), class_performance()


def _files(folder: Path, *parts: Rows) -> list[Path]:
    columns = prediction_columns(INPUTS, "multiclass")
    return [write_parquet(folder / f"{place}.parquet", columns, rows) for place, rows in enumerate(parts)]


def _count(files: list[Path], labels: Path | None = None) -> Any:
    return count_window(files, QUESTION, REFERENCE, PERFORMANCE, labels=labels, memory_mib=200)


def _told(path: Path, rows: Rows, labels: list[str | None]) -> Path:
    table = {
        "inference_id": [row["inference_id"] for row in rows],
        "request_row": pa.array([0] * len(rows), pa.int64()),
        "label": pa.array(labels, pa.string()),
        "file": ["a"] * len(rows),
    }
    pq.write_table(pa.table(table), path)
    return path


def _answers(rows: Rows) -> tuple[Any, dict[str, Any]]:
    """Return probabilities as files hold them, and the inputs."""
    shares = np.array([row[PROBABILITIES] for row in rows], np.float32)
    names = ("distance", "origin")
    return shares, {name: np.array([row[f"input_{name}"] for row in rows], object) for name in names}


def _same(found: Expected, true: Expected) -> None:
    assert (found.rows, found.unscored) == (true.rows, true.unscored)
    for name, part in true.sums.items():
        np.testing.assert_allclose(found.sums[name], part, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("chunk", [100_000, 1_700])
def test_rows_count_as_the_model_answered_them_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(recorded_window, "_CHUNK_ROWS", chunk)
    rows = asked(4_000, FIRST)
    labels: list[str | None] = [*labels_of(rows)]
    labels[:500] = [None] * 500
    labels[500:503] = ["cancelled", "diverted", "cancelled"]
    files = _files(tmp_path, rows[:2_500], [*rows[2_500:], *rows[:10]])
    found = _count(files, _told(tmp_path / "labels.parquet", rows, labels))
    assert (found.rows, found.delivered, found.unshared) == (4_000, 4_010, 0)
    assert (found.conflicts, found.strangers, found.strange) == (500, 3, ("cancelled", "diverted"))
    shares, columns = _answers(rows)
    _same(Expected.from_dict(found.expected), expect(PERFORMANCE, shares, columns))
    places = np.array([np.nan if one is None else CLASSES.index(one) if one in CLASSES else -1 for one in labels])
    whole = confirm(PERFORMANCE, shares, places, columns)
    read = Confirmed.from_dict(found.confirmed)
    _same(read.expected, whole.expected)
    _same(read.true, whole.true)


def test_rows_with_other_than_a_number_for_each_class_are_counted_and_not_estimated(tmp_path: Path) -> None:
    rows = asked(300, FIRST)
    for place, wild in enumerate([None, [], [1.0], [0.5, 0.5], [0.2] * 4, [0.5, float("nan"), 0.5]]):
        rows[place] = {**rows[place], PROBABILITIES: wild}
    path = tmp_path / "a.parquet"
    columns = {name: [row[name] for row in rows] for name, _ in prediction_columns(INPUTS, "multiclass")}
    columns["event_time"] = [moment.replace(tzinfo=None) for moment in columns["event_time"]]
    pq.write_table(pa.table(columns), path)
    found = _count([path])
    assert (found.rows, found.unshared) == (300, 6)
    assert Expected.from_dict(found.expected).rows == 294
    assert found.profile["rows"] == 300


def test_a_version_with_other_classes_is_none_of_the_judged_one(tmp_path: Path) -> None:
    rows = asked(200, FIRST)
    other = [{**row, "inference_id": f"o{row['inference_id']}", "version": "3"} for row in rows[:50]]
    other = [{**row, PROBABILITIES: [0.25, 0.25, 0.25, 0.25]} for row in other]
    found = _count(_files(tmp_path, rows, other))
    assert (found.rows, found.others, found.unshared) == (200, {"3": 50}, 0)
    assert estimate(PERFORMANCE, Expected.from_dict(found.expected))["balanced_accuracy"].value is not None
