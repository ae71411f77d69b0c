"""Every row of a declared column belongs to a segment, and every segment is judged or listed with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from passerelle.domain.gate.segments import Segment, judge_segments
from passerelle.domain.project import load_project
from passerelle.domain.project.training import SegmentGate
from passerelle.domain.resampling import draw_weights
from tests.e2e.projects import project_document
from training.evaluate.compared import Period
from training.evaluate.segments import find_segments, segment_values
from training.train.data import Rows
from training.train.predict import Predicted

COUNT = 1_200
LABELS = np.arange(COUNT) % 2


def period(columns: dict[str, Any], segments: list[str], *, least: int = 100, days: int = 60) -> Period:
    document = project_document("p-x", "binary")
    document["task"] |= {"segments": segments, "min_segment_rows": least}
    project = load_project(yaml.safe_dump(document), source="p")
    times = np.datetime64("2026-01-01") + (np.arange(COUNT) * days // COUNT).astype("timedelta64[D]")
    rows = Rows(pd.DataFrame(columns), LABELS, times)
    blocks = rows.blocks("auto")
    return Period(project, rows, blocks, draw_weights(blocks, seed=0, rounds=200), np.arange(COUNT))


def model(noise: float, seed: int = 0) -> Predicted:
    share = 1 / (1 + np.exp(-(LABELS * 2 - 1 + noise * np.random.default_rng(seed).normal(size=COUNT))))
    return Predicted((share > 0.5).astype(int), np.column_stack([1 - share, share]), np.asarray([0, 1]))


GUESS = Predicted(np.zeros(COUNT), np.full((COUNT, 2), 0.5), np.asarray([0, 1]))


def found(rows: Period, champion: Predicted | None = None, challenger: Predicted | None = None) -> dict[str, Segment]:
    return {one.name: one for one in find_segments(rows, challenger or model(1.0), GUESS, champion)}


def test_a_missing_value_is_a_segment_of_its_own() -> None:
    plans = np.asarray(["free", "pro", None], dtype=object)[np.arange(COUNT) // 2 % 3]
    segments = found(period({"plan": plans}, ["plan"]))
    assert {name: one.rows for name, one in segments.items()} == {
        "plan = free": 400, "plan = pro": 400, "plan = (missing)": 400,
    }  # fmt: skip
    assert all(one.against and not one.not_judged for one in segments.values())


def test_a_number_with_many_values_is_cut_at_its_quartiles_and_one_with_few_is_not() -> None:
    ages = np.linspace(0, 100, COUNT)
    ages[:20] = np.nan
    names = pd.Series(segment_values(pd.Series(ages))).value_counts()
    assert len(names) == 5
    assert sum(name.startswith("under ") for name in names.index) == 1
    assert sum(name.endswith(" and more") for name in names.index) == 1
    assert names["(missing)"] == 20
    assert set(names.drop("(missing)")) == {295}
    assert set(segment_values(pd.Series([1.0, 2.0, 1.0, np.nan]))) == {"1", "2", "(missing)"}


def test_what_is_too_small_or_on_too_few_days_or_left_out_is_listed_with_the_reason() -> None:
    plans = np.asarray(["free"] * COUNT, dtype=object)
    plans[:60], plans[100:220] = "rare", "brief"  # 120 neighbouring rows are six days
    segments = found(period({"plan": plans}, ["plan", "visits", "plan"]))
    assert segments["plan = rare"].not_judged == "fewer than 100 rows"
    assert "fall into" in segments["plan = brief"].not_judged
    assert segments["visits = (all)"].not_judged == "the column was left out when the data was prepared"
    assert segments["plan = free"].against
    assert len(segments) == 4


def test_of_thousands_of_small_values_the_number_is_told() -> None:
    segments = found(period({"plan": np.asarray([f"t{number // 2}" for number in range(COUNT)])}, ["plan"]))
    assert len(segments) == 21
    more = segments["plan = 580 other values"]
    assert (more.rows, more.not_judged) == (1_160, "fewer than 100 rows each, or not among the 200 largest")


def test_where_the_metric_is_undefined_nothing_is_judged() -> None:
    plans = np.where(LABELS == 1, "yes", "no")
    segments = found(period({"plan": plans}, ["plan"]))
    assert {one.not_judged for one in segments.values()} == {"roc_auc is undefined there"}


@pytest.mark.parametrize("column", ["free", "pro"])
def test_a_challenger_that_collapses_in_one_segment_is_worse_than_champion_and_baseline_there_only(column: str) -> None:
    plans = np.asarray(["free", "pro"], dtype=object)[np.arange(COUNT) // 2 % 2]
    good, bad = model(0.6), model(0.6)
    assert bad.probabilities is not None
    bad.probabilities[plans == column] = bad.probabilities[plans == column][:, ::-1]
    segments = list(found(period({"plan": plans}, ["plan"]), champion=good, challenger=bad).values())
    judged = {one.value: one.worse_than for one in judge_segments(SegmentGate(), "roc_auc", segments)}
    assert judged == {column: ("baseline", "champion"), ({"free", "pro"} - {column}).pop(): ()}
