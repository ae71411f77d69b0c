"""The reference that a bundle keeps of its training data, by which later windows are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from passerelle.contracts.bundle import BundleSignature, SignatureColumn
from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.drift.judged import Drift, judge
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import Reference
from passerelle.domain.project import Project
from tests.e2e.projects import project_document
from training.train.candidate import _profile as make_profile
from training.train.context import Context
from training.train.data import Rows
from training.train.predict import Predicted

INPUTS = (
    SignatureColumn(name="day", type="integer"),
    SignatureColumn(name="load", type="number", nullable=True),
    SignatureColumn(name="kind", type="category"),
    SignatureColumn(name="open", type="boolean", nullable=True),
    SignatureColumn(name="noise", type="number"),
)
ROWS_A_DAY = 200


def columns(days: range, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = len(days) * ROWS_A_DAY
    load = rng.normal(10, 2, rows)
    load[::50] = np.nan
    return {
        "day": np.repeat([1 + day % 30 for day in days], ROWS_A_DAY),
        "load": load,
        "kind": np.array(["a", "b", "c"], object)[rng.integers(0, 3, rows)],
        "open": [None, True, False, True] * (rows // 4),
        "noise": rng.normal(size=rows),
    }


def rows_of(days: range, seed: int = 0) -> Rows:
    held = columns(days, seed)
    start = np.datetime64("2024-01-01T00:00:00", "s")
    times = start + np.repeat(np.array(list(days)) * 86_400, ROWS_A_DAY).astype("timedelta64[s]")
    labels = (np.nan_to_num(held["load"], nan=10.0) > 10).astype(np.int64)
    return Rows(typed_frame({name: pd.Series(values) for name, values in held.items()}, INPUTS), labels, times)


def context() -> Context:
    text = {"run_id": "r", "dataset_id": "d", "contract_hash": "c", "git_sha": "g", "lock_hash": "l", "created_at": ""}
    signature = BundleSignature(task="binary", inputs=INPUTS, classes=("0", "1"), positive_class="1")
    project = Project.model_validate(project_document("p-x", "binary"))
    return Context(
        project=project, signature=signature, train=rows_of(range(60)), validation=rows_of(range(60, 70), 1),
        seed=1, threads=1, device="cpu", **text,
    )  # fmt: skip


def predicted(rows: int) -> Predicted:
    positive = np.random.default_rng(3).beta(2, 5, rows)
    shares = np.column_stack([1 - positive, positive])
    return Predicted((positive > 0.5).astype(int), shares, np.array([0, 1]))


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    return make_profile(context(), predicted(2_000), 0.4)


@pytest.fixture(scope="module")
def reference(profile: dict[str, Any]) -> Reference:
    return Reference.from_json(json.dumps(profile))


def judged(reference: Reference, changed: dict[str, Any]) -> Drift:
    """Judge a day's window, as predictions have it."""
    score = np.random.default_rng(8).beta(2, 5, ROWS_A_DAY)
    window = columns(range(70, 71), 5) | {SCORE: score, DECISION: score >= 0.4}
    return judge(reference, count(reference.layout, window | changed))


def test_it_has_what_callers_send_and_the_models_answers(profile: dict[str, Any]) -> None:
    assert set(profile["layout"]["columns"]) == {"day", "load", "kind", "open", "noise", SCORE, DECISION}
    assert profile["label"]["shares"].keys() == {"0", "1"}


def test_a_day_like_those_of_the_training_period_is_no_news_though_each_day_differs(reference: Reference) -> None:
    assert reference.usual["day"] > 0.8
    assert not judged(reference, {}).alarms


@pytest.mark.parametrize(("days", "known"), [(41, True), (14, False)])
def test_weeks_of_a_period_that_holds_few_of_them_say_what_is_usual_all_the_same(days: int, known: bool) -> None:
    made = context()
    weekly = Project.model_validate(project_document("p-x", "binary", monitoring={"schedule": "weekly"}))
    profile = make_profile(replace(made, project=weekly, train=rows_of(range(days))), predicted(2_000), 0.4)
    usual = Reference.from_json(json.dumps(profile)).usual
    assert usual.get("day", 0.0) > 0.7 if known else "day" not in usual
    assert usual.get("noise", 0.0) < 0.1


def test_a_day_that_is_unlike_them_alarms(reference: Reference) -> None:
    load = np.random.default_rng(1).normal(13, 2, ROWS_A_DAY)
    assert {signal.column for signal in judged(reference, {"load": load}).alarms} >= {"load"}


def test_scores_that_move_alarm_though_no_input_does(reference: Reference) -> None:
    score = np.random.default_rng(1).beta(4, 3, ROWS_A_DAY)
    found = {signal.column for signal in judged(reference, {SCORE: score, DECISION: score >= 0.4}).alarms}
    assert found == {SCORE, DECISION}


def test_truth_values_are_counted_as_callers_send_them(reference: Reference) -> None:
    cuts = reference.layout.columns["open"]
    assert getattr(cuts, "levels", None) == ("true", "false")
    assert reference.profile.columns["open"].missing == 60 * ROWS_A_DAY // 4  # type: ignore[union-attr]


def test_the_columns_that_tell_most_of_the_label_are_looked_at_in_pairs_first(reference: Reference) -> None:
    assert next(iter(reference.layout.quarters)) == "load"


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_answers_of_every_task_have_a_place(task: Any) -> None:
    made = context()
    document = project_document("p-x", task)
    labels = made.train.labels.astype(float) if task == "regression" else made.train.labels.astype(str).astype(object)
    other = replace(made, project=Project.model_validate(document), train=replace(made.train, labels=labels))
    answers = predicted(2_000)
    if task == "regression":
        answers = Predicted(np.random.default_rng(0).normal(size=2_000), None, np.array([]))
    held = make_profile(other, answers, None)["layout"]["columns"]
    assert held[SCORE]["kind"] == "number"
    assert (DECISION in held) == (task == "multiclass")


def test_the_projects_segments_are_counted_of_inputs_and_of_the_models_answers() -> None:
    made = context()
    task = made.project.task.model_copy(update={"segments": ("kind", "gone"), "min_segment_rows": 300})
    divided = replace(made, project=made.project.model_copy(update={"task": task}))
    found = Reference.from_json(json.dumps(make_profile(divided, predicted(2_000), 0.4)))
    tables = found.profile.segments["kind"]
    assert set(found.layout.segments) == {"kind"}
    assert tables["load"].sum() == 60 * ROWS_A_DAY
    assert tables[SCORE].sum() == tables[DECISION].sum() == 10 * ROWS_A_DAY
