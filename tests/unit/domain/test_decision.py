"""The threshold is that of greatest value on the rows seen, also where events are rare, tied, or not worth acting on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.decision import best_threshold, decides, ideal_threshold, row_values, total_value
from passerelle.domain.project.model import Value

FLIGHTS = Value(true_positive=40, false_positive=-12, false_negative=-40)


def calibrated(rows: int, *, prior: float, seed: int = 0) -> tuple[Any, Any]:
    """Labels drawn with exactly the probabilities given."""
    generator = np.random.default_rng(seed)
    positive = generator.beta(2 * prior, 2 * (1 - prior), rows)
    return (generator.random(rows) < positive).astype(int), positive


def test_dear_misses_lower_the_threshold_and_dear_alarms_raise_it() -> None:
    labels, positive = calibrated(2_000, prior=0.4)
    low = best_threshold(Value(true_positive=40, false_positive=-1, false_negative=-400), labels, positive)
    high = best_threshold(Value(true_positive=1, false_positive=-400, false_negative=-1), labels, positive)
    assert low < 0.1 < 0.9 < high


def test_on_probabilities_that_are_right_the_threshold_is_nearly_the_ideal_one() -> None:
    labels, positive = calibrated(40_000, prior=0.3)
    assert ideal_threshold(FLIGHTS) == pytest.approx(12 / 92)
    assert best_threshold(FLIGHTS, labels, positive) == pytest.approx(12 / 92, abs=0.03)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 1e-4, 0.1, 0.2, 0.5, 1.0])), min_size=1, max_size=25),
    st.tuples(*[st.integers(-9, 9)] * 4),
)
def test_no_other_threshold_would_have_made_more(rows: Any, money: Any) -> None:
    value = Value(
        **dict(zip(("true_positive", "false_positive", "true_negative", "false_negative"), money, strict=True))
    )
    labels, positive = (np.asarray(column) for column in zip(*rows, strict=True))
    if not decides(value):
        return
    found = total_value(value, labels, positive, best_threshold(value, labels, positive))
    others = [total_value(value, labels, positive, one) for one in (0.0, 5e-5, 0.05, 0.15, 0.3, 0.7, 1.0, 1.1)]
    assert found == pytest.approx(max(others))


def test_how_often_the_newest_rows_happen_to_be_positive_does_not_move_the_threshold() -> None:
    labels, positive = calibrated(40_000, prior=0.3)
    generator = np.random.default_rng(1)
    quiet = np.flatnonzero((labels == 0) | (generator.random(len(labels)) < 0.4))
    followed = best_threshold(FLIGHTS, labels[quiet], positive[quiet])
    assert followed > 0.2
    assert best_threshold(FLIGHTS, labels[quiet], positive[quiet], share=0.3) == pytest.approx(12 / 92, abs=0.03)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=12), st.sampled_from([None, 0.0, 0.01, 0.5, 1.0]))
def test_rows_of_one_kind_have_a_threshold_whatever_the_model_learnt(labels: list[int], share: float | None) -> None:
    positive = np.linspace(0.1, 0.9, len(labels))
    for value in (None, FLIGHTS):
        assert 0 <= best_threshold(value, np.asarray(labels), positive, share=share) <= 1


def test_events_rarer_than_one_in_a_thousand_are_still_told_apart() -> None:
    labels, positive = np.asarray([0] * 990 + [1] * 10), np.concatenate([np.full(990, 1e-4), np.full(10, 3e-3)])
    threshold = best_threshold(Value(true_positive=10, false_positive=-1), labels, positive)
    assert 1e-4 < threshold <= 3e-3


def test_where_acting_never_pays_nobody_acts() -> None:
    labels, positive = np.zeros(50, dtype=int), np.linspace(0.1, 0.9, 50)
    assert best_threshold(FLIGHTS, labels, positive) == 1.0


def test_one_probability_for_all_gets_the_ideal_threshold_where_that_decides_alike() -> None:
    labels = np.asarray([1] * 20 + [0] * 80)
    assert best_threshold(FLIGHTS, labels, np.full(100, 0.2)) == pytest.approx(12 / 92)


@pytest.mark.parametrize("value", [None, Value(), Value(per_error_unit=-1), Value(true_positive=3, false_negative=3)])
def test_without_a_matrix_that_decides_the_threshold_is_that_of_greatest_f1(value: Value | None) -> None:
    from sklearn.metrics import f1_score

    labels, positive = calibrated(300, prior=0.3, seed=5)
    best = f1_score(labels, positive >= best_threshold(value, labels, positive))
    assert best == pytest.approx(max(f1_score(labels, positive >= one) for one in positive))


def test_outputs_that_are_no_numbers_decide_nothing() -> None:
    positive = np.asarray([np.nan, 0.2, 0.8])
    assert 0.2 < best_threshold(FLIGHTS, np.asarray([1, 0, 1]), positive) <= 0.8
    assert best_threshold(FLIGHTS, np.asarray([1]), np.asarray([np.nan])) == 0.5


def test_each_row_is_worth_what_its_outcome_is_worth() -> None:
    value = Value(true_positive=1, false_positive=2, true_negative=3, false_negative=4)
    found = row_values(value, np.asarray([1, 0, 0, 1]), np.asarray([0.9, 0.9, 0.1, 0.1]), 0.5)
    assert list(found) == [1, 2, 3, 4]
