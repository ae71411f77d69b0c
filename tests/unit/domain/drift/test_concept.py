"""Why a metric moved: other inputs, or other outcomes of the same inputs; each part with its interval."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from passerelle.domain.drift.concept import Change, Confirmed, changes, confirm
from passerelle.domain.drift.estimated import realised
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from tests.unit.domain.drift.estimated_worlds import HARDER, TYPES, amounts, classes, yes_or_no


@cache
def reference(task: Any = "binary", seed: int = 1) -> PerformanceReference:
    world = {"binary": yes_or_no, "regression": amounts, "multiclass": classes}[task]
    answers, labels, columns = world(6_000, seed)
    return make_performance_reference(task, answers, labels, columns=columns, types=TYPES, threshold=0.3)


def changed(rows: Any, task: Any = "binary") -> dict[str, Change]:
    answers, labels, columns = rows
    return changes(reference(task), confirm(reference(task), answers, labels, columns))


def test_other_inputs_are_told_from_other_outcomes() -> None:
    inputs = changed(yes_or_no(4_000, 11, kinds=HARDER))["log_loss"]
    world = changed(yes_or_no(4_000, 12, drift=0.3))["log_loss"]
    both = changed(yes_or_no(4_000, 13, kinds=HARDER, drift=-0.5))["log_loss"]
    assert (inputs.why, world.why, both.why) == ("inputs", "concept", "both")
    assert inputs.inputs is not None
    assert world.concept is not None
    assert inputs.inputs.value > 0.03
    assert world.concept.value > 0.03
    assert "as the same inputs have other outcomes" in world.words


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_both_parts_are_all_of_the_change_and_what_is_now_is_what_the_labels_say(task: Any) -> None:
    world = {"binary": yes_or_no, "regression": amounts, "multiclass": classes}[task]
    answers, labels, columns = world(2_000, 21, kinds=HARDER)
    true = realised(reference(task), answers, labels)
    for name, one in changed((answers, labels, columns), task).items():
        assert one.inputs is not None, one.reason
        assert one.concept is not None
        assert one.before is not None
        assert one.now == pytest.approx(true[name].value)
        assert one.before + one.inputs.value + one.concept.value == pytest.approx(one.now)


def test_where_nothing_changed_neither_is_sure_in_nineteen_of_twenty() -> None:
    told = {"inputs": 0, "concept": 0}
    for seed in range(30):
        answers, labels, columns = yes_or_no(1_500, 300 + seed)
        own = reference("binary", 50 + seed % 6)
        one = changes(own, confirm(own, answers, labels, columns))["log_loss"]
        assert one.inputs is not None
        assert one.concept is not None
        told["inputs"] += one.inputs.sure
        told["concept"] += one.concept.sure
    # 99.7 % of the counts of 30 windows at 5 % are at most 5.
    assert max(told.values()) <= 5


def test_windows_add_up_and_are_the_same_after_json() -> None:
    answers, labels, columns = yes_or_no(3_000, 31)
    halves = [
        confirm(reference(), answers[part], labels[part], {name: values[part] for name, values in columns.items()})
        for part in (slice(None, 1_000), slice(1_000, None))
    ]
    read = Confirmed.from_dict(json.loads(json.dumps(halves[1].to_dict())))
    whole, added = changed((answers, labels, columns)), changes(reference(), halves[0] + read)
    for name, one in whole.items():
        assert added[name].now == pytest.approx(one.now)
        assert added[name].before == one.before
        assert added[name].concept is not None
        assert one.concept is not None
        assert added[name].concept.value == pytest.approx(one.concept.value, abs=1e-6)


def test_rows_without_a_label_or_an_answer_are_left_out() -> None:
    answers, labels, columns = yes_or_no(900, 41)
    some = labels.astype(float)
    some[:300], answers[300:310] = np.nan, np.nan
    found = confirm(reference(), answers, some, columns)
    assert (found.expected.rows, found.true.rows) == (590, 590)


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_a_window_none_of_whose_labels_has_come_says_so(task: Any) -> None:
    answers, labels, columns = {"binary": yes_or_no, "regression": amounts, "multiclass": classes}[task](60, 41)
    none = confirm(reference(task), answers, np.full(len(labels), np.nan), columns)
    assert (none.expected.rows, none.true.rows) == (0, 0)
    assert {change.reason for change in changes(reference(task), none).values()} == {
        "0 rows with a label are too few: 30 are needed."
    }
    some = confirm(reference(task), answers, labels, columns)
    assert (none + some).true.rows == some.true.rows


def test_few_labels_and_few_of_a_kind_say_why_there_is_no_answer() -> None:
    answers, labels, columns = yes_or_no(20, 51)
    assert "too few" in changed((answers, labels, columns))["log_loss"].words
    answers, labels, columns = yes_or_no(200, 52)
    found = changed((answers, np.zeros_like(labels), columns))
    assert "positives" in found["roc_auc"].reason
    assert found["log_loss"].why == "concept"


def test_another_models_window_is_refused_and_a_reference_is_the_same_after_json() -> None:
    other = reference("binary", 2)
    with pytest.raises(LayoutError, match="Add it up again"):
        changes(other, confirm(reference(), *yes_or_no(100, 61)))
    read = PerformanceReference.from_json(other.to_json())
    assert read.id == other.id
