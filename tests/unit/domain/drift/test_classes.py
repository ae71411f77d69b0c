"""Windows of several classes add up to scikit-learn's metrics, whatever models answered and labels say."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from passerelle.domain.drift.classes import MOST_CLASSES, STRANGER, Classes
from passerelle.domain.drift.concept import changes, confirm
from passerelle.domain.drift.estimated import estimate, expect, realised
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from tests.unit.domain.drift.estimated_worlds import TYPES, uneven_classes

NAMES = ("a", "b", "c")


@cache
def reference() -> PerformanceReference:
    answers, places, columns = uneven_classes(2_000, 1)
    return make_performance_reference("multiclass", answers, places, columns=columns, types=TYPES, classes=NAMES)


def classes_of(made: PerformanceReference) -> Classes:
    assert made.layout.classes is not None
    return made.layout.classes


def simple(classes: int, rows: int = 600, seed: int = 3) -> tuple[Any, Any]:
    """Return probabilities that mean what they say, and true places."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes), rows)
    return shares, (rng.random(rows)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, classes - 1)


LABELS = st.sampled_from([*NAMES, None, "", "A", "nan", "unheard of"])
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([np.nan, np.inf, 0.0, 1.0, 1e-300]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LABELS, st.tuples(SHARES, SHARES, SHARES)), min_size=1, max_size=80))
def test_whatever_was_answered_and_told_the_sums_are_those_of_the_rows_that_have_both(rows: list[Any]) -> None:
    labels, answers = np.array([row[0] for row in rows], object), np.array([row[1] for row in rows])
    places = classes_of(reference()).places(labels)
    assert [name in NAMES for name in labels] == (places >= 0).tolist()
    assert [name is None for name in labels] == np.isnan(places).tolist()
    found = confirm(reference(), answers, places)
    both = np.isfinite(answers).all(axis=1) & ~np.isnan(places)
    assert found.true.rows == found.expected.rows == both.sum()
    decided, true = np.argmax(answers[both], axis=1), places[both]
    sums = found.true.sums
    assert sums["correct"].sum() == (decided == true).sum()
    assert sums["decided"].tolist() == np.bincount(decided, minlength=3).tolist()
    assert sums["held"].sum() + sums["strange"].sum() == both.sum()
    assert sums["strange"].tolist() == [(true == STRANGER).sum()]
    for part in (found.expected, expect(reference(), answers)):
        for one in estimate(reference(), part).values():
            assert one.reason or (one.lower is not None and one.upper is not None and one.lower <= one.upper)
    for change in changes(reference(), found).values():
        assert change.reason or np.isfinite(change.now or 0.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_metrics_of_known_classes_are_those_of_scikit_learn_even_of_a_few_rows(rows: list[tuple[int, int]]) -> None:
    true, decided = (np.array(each) for each in zip(*rows, strict=True))
    answers = np.where(np.eye(3)[decided] > 0, 0.6, 0.2)
    found = realised(reference(), answers, true)
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(true, decided))
    assert found["log_loss"].value == pytest.approx(sk.log_loss(true, answers, labels=[0, 1, 2]))
    if len(np.unique(true)) < 3:
        assert "rows of class" in found["balanced_accuracy"].reason
        return
    with warnings.catch_warnings(action="ignore"):
        assert found["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(true, decided))
        assert found["macro_f1"].value == pytest.approx(sk.f1_score(true, decided, average="macro"))


def test_labels_of_unknown_classes_are_wrong_answers_and_one_class_more_once_they_are_many() -> None:
    answers, places, _ = uneven_classes(1_000, 5)
    known = {name: one.value for name, one in realised(reference(), answers, places).items()}
    for strangers in (4, 200):
        some = places.copy()
        some[:strangers] = STRANGER
        found = {name: one.value for name, one in realised(reference(), answers, some).items()}
        decided = np.argmax(answers, axis=1)
        assert found["accuracy"] == pytest.approx(sk.accuracy_score(some, decided))
        assert found["log_loss"] > known["log_loss"]  # type: ignore[operator]
        if strangers == 200:
            with warnings.catch_warnings(action="ignore"):
                assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(some, decided))
                assert found["macro_f1"] == pytest.approx(sk.f1_score(some, decided, average="macro"))
        else:
            assert found["balanced_accuracy"] == pytest.approx(known["balanced_accuracy"], abs=0.01)


def test_a_reference_that_met_unknown_classes_expects_as_many_again() -> None:
    answers, places, _ = uneven_classes(3_000, 6)
    places[::20] = STRANGER
    made = make_performance_reference("multiclass", answers, places, classes=NAMES)
    assert classes_of(made).strange == pytest.approx(0.05)
    again, truth, _ = uneven_classes(2_000, 7)
    truth[::20] = STRANGER
    guess, true = estimate(made, expect(made, again)), realised(made, again, truth)
    for name, one in guess.items():
        assert one.lower is not None
        assert one.upper is not None
        assert one.lower <= float(true[name].value or 0) <= one.upper, name


def test_a_reference_of_before_classes_were_named_is_refused() -> None:
    older = json.loads(reference().to_json())
    del older["layout"]["classes"]
    with pytest.raises(LayoutError, match="does not name its classes"):
        PerformanceReference.from_json(json.dumps(older))


def test_a_class_with_too_few_rows_says_so_of_the_metrics_that_weigh_it_like_the_others() -> None:
    answers, places, _ = uneven_classes(1_000, 8)
    rare = make_performance_reference("multiclass", answers, np.minimum(places, 1), classes=NAMES)
    found = estimate(rare, expect(rare, answers))
    assert found["balanced_accuracy"].reason.startswith("About 0.0 rows of class c: 5 are needed of each")
    assert found["accuracy"].value == pytest.approx(realised(rare, answers, np.minimum(places, 1))["accuracy"].value)


@pytest.mark.parametrize("classes", [2, MOST_CLASSES + 1])
def test_of_two_and_of_very_many_classes_accuracy_and_log_loss_are_known(classes: int) -> None:
    answers, places = simple(classes)
    made = make_performance_reference("multiclass", answers, places)
    read = PerformanceReference.from_json(made.to_json())
    assert read.id == made.id
    found, true = estimate(read, expect(read, answers)), realised(read, answers, places)
    for name in ("accuracy", "log_loss"):
        assert found[name].value == pytest.approx(true[name].value, abs=0.01)
    if classes > MOST_CLASSES:
        assert "Of 13 classes it is not known" in found["macro_f1"].reason == true["macro_f1"].reason
    else:
        assert found["macro_f1"].value == pytest.approx(true["macro_f1"].value, abs=0.02)


def test_answers_of_a_rule_that_is_always_sure_and_of_one_guess_are_estimated_as_any() -> None:
    rng = np.random.default_rng(9)
    sure = np.eye(3)[rng.integers(0, 3, 900)]
    right = np.where(rng.random(900) < 0.7, sure.argmax(axis=1), rng.integers(0, 3, 900))
    guess = np.tile([0.5, 0.3, 0.2], (900, 1))
    for answers, places in ((sure, right), (guess, rng.choice(3, 900, p=[0.5, 0.3, 0.2]))):
        made = make_performance_reference("multiclass", answers, places)
        found, true = estimate(made, expect(made, answers)), realised(made, answers, places)
        for name, one in found.items():
            assert one.value == pytest.approx(true[name].value, abs=0.01), name
