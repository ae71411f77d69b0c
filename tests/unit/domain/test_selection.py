"""The simplest model that is as good as the best within one standard error of their difference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.selection import Option, choose, reduction_sizes

NOISE = np.random.default_rng(1).normal(0, 0.02, 200)


def option(name: str, score: float, complexity: int, *, own: float = 0.0, **fields: Any) -> Option:
    """An option whose resamples vary with those of all others by NOISE, and by `own` on top."""
    extra = np.random.default_rng(complexity + 7).normal(0, own, len(NOISE)) if own else 0.0
    values = {"features": 10, "resamples": score + NOISE + extra} | fields
    return Option(name=name, score=score, complexity=complexity, **values)


def test_a_difference_that_paired_resamples_show_is_not_called_equal() -> None:
    """Both scores vary by 0.02 alone, but together: the difference of 0.01 is real."""
    choice = choose([option("simple", 0.80, 1), option("best", 0.81, 4)], metric="roc_auc", greater_is_better=True)
    assert choice.option.name == "best"
    assert "best has the best roc_auc on validation, 0.8100" in choice.why


def test_a_difference_within_one_standard_error_of_it_goes_to_the_simpler() -> None:
    found = [option("simple", 0.80, 1), option("best", 0.81, 4, own=0.02), option("bad", 0.60, 0)]
    choice = choose(found, metric="roc_auc", greater_is_better=True)
    assert choice.option.name == "simple"
    assert "is simpler than best (0.8100) and as good: they differ by 0.0100, within one standard error" in choice.why
    assert [as_good for _, _, as_good in choice.behind] == [True, True, False]


def test_smaller_is_better_where_the_metric_is_an_error() -> None:
    found = [option("simple", 5.0, 1), option("best", 4.0, 4)]
    assert choose(found, metric="rmse", greater_is_better=False).option.name == "best"


def test_of_one_candidate_the_fewest_features_that_are_as_good_win() -> None:
    found = [option("m", 0.900, 3, own=0.004, features=13), option("m", 0.898, 3, features=4)]
    choice = choose([*found, option("m", 0.85, 3, features=1)], metric="roc_auc", greater_is_better=True)
    assert choice.option.features == 4
    assert "m with 4 features" in choice.why
    assert "m with 13 features" in choice.why


def test_of_equals_the_cheaper_wins() -> None:
    found = [option("slow", 0.9, 2, seconds=9.0), option("fast", 0.9, 2, seconds=1.0)]
    assert choose(found, metric="roc_auc", greater_is_better=True).option.name == "fast"


def test_a_model_without_resamples_wins_only_by_its_score() -> None:
    found = [option("simple", 0.8999, 1, resamples=np.asarray([])), option("best", 0.9, 4)]
    assert choose(found, metric="roc_auc", greater_is_better=True).option.name == "best"


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        choose([], metric="roc_auc", greater_is_better=True)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5), st.integers(1, 40)), min_size=1, max_size=8))
def test_nothing_that_is_chosen_is_worse_than_one_standard_error_nor_less_simple_than_the_best(found: Any) -> None:
    options = [option(f"m{i}", score, rank, own=0.01, features=n) for i, (score, rank, n) in enumerate(found)]
    choice = choose(options, metric="roc_auc", greater_is_better=True)
    loss, error, as_good = choice.behind[options.index(choice.option)]
    assert as_good
    assert loss <= error + 1e-12
    best = max(options, key=lambda item: item.score)
    assert (choice.option.complexity, choice.option.features) <= (best.complexity, best.features)


@given(st.integers(1, 500))
def test_a_reduction_ends_at_one_feature_and_never_stands_still(features: int) -> None:
    sizes = [features, *reduction_sizes(features)]
    assert sizes[-1] == 1
    assert all(later < earlier for earlier, later in itertools.pairwise(sizes))
