"""The simplest model that is as good as the best within one standard error of their difference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.metrics import score
from passerelle.domain.resampled import resampled_scores
from passerelle.domain.resampling import draw_weights, make_blocks
from passerelle.domain.selection import Option, choose, reduction_sizes

NOISE = np.random.default_rng(1).normal(0, 0.02, 200)


def option(name: str, score: float, complexity: int, *, own: float = 0.0, **fields: Any) -> Option:
    """An option whose resamples vary with those of all others by NOISE, and by `own` on top."""
    extra = np.random.default_rng(complexity + 7).normal(0, own, len(NOISE)) if own else 0.0
    values: dict[str, Any] = {"features": 10, "resamples": score + NOISE + extra} | fields
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
def test_nothing_that_is_chosen_is_much_worse_nor_less_simple_than_the_best(found: Any) -> None:
    options = [option(f"m{i}", value, rank, own=0.01, features=n) for i, (value, rank, n) in enumerate(found)]
    choice = choose(options, metric="roc_auc", greater_is_better=True)
    loss, error, as_good = choice.behind[next(i for i, item in enumerate(options) if item is choice.option)]
    assert as_good
    assert loss <= 3 * error + 1e-12
    best = max(options, key=lambda item: item.score)
    assert (choice.option.complexity, choice.option.features) <= (best.complexity, best.features)


@given(st.integers(1, 500))
def test_a_reduction_ends_at_one_feature_and_never_stands_still(features: int) -> None:
    sizes = [features, *reduction_sizes(features)]
    assert sizes[-1] == 1
    assert all(later < earlier for earlier, later in itertools.pairwise(sizes))


# On simulated models whose quality is known


def simulated(seed: int, qualities: dict[str, float], *, rows: int = 600, metric: str = "roc_auc") -> str:
    """Return which of several models is chosen, the simplest first; `qualities` are their noises, less is better."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=rows)
    labels = (generator.random(rows) < 1 / (1 + np.exp(-2 * truth))).astype(int)
    task = "regression" if metric == "rmse" else "binary"
    blocks = make_blocks(rows, by="row")
    weights = draw_weights(blocks, seed=seed, rounds=200)
    options = []
    for rank, (name, noise) in enumerate(qualities.items()):
        seen = truth + noise * generator.normal(size=rows)
        share = 1 / (1 + np.exp(-2 * seen))
        given: Any = (metric, task, truth, seen, None, np.asarray([]))
        if task == "binary":
            given = (metric, task, labels, (share > 0.5).astype(int), np.column_stack([1 - share, share]), NAMES)
        scores = resampled_scores(*given, blocks=blocks, weights=weights)
        options.append(Option(name=name, features=5, score=score(*given) or 0.0, resamples=scores, complexity=rank))
    return choose(options, metric=metric, greater_is_better=metric == "roc_auc").option.name


NAMES = np.asarray([0, 1])


def share_of(name: str, qualities: dict[str, float], *, seeds: int = 60, **options: Any) -> float:
    return float(np.mean([simulated(seed, qualities, **options) == name for seed in range(seeds)]))


@pytest.mark.parametrize("metric", ["roc_auc", "rmse"])
def test_of_two_equal_models_the_simpler_wins_in_about_five_of_six_draws(metric: str) -> None:
    """One standard error is what chance exceeds in 16 %: the rule's own price."""
    assert 0.7 <= share_of("simple", {"simple": 0.6, "complex": 0.6}, metric=metric) <= 0.95


def kept(gap: float, rivals: int, draws: int = 250) -> float:
    """Return how often the simplest is kept against rivals that are truly better by `gap` standard errors."""
    generator, spread, often = np.random.default_rng(1), 0.01, 0
    truth = 0.8 + np.asarray([0.0, *[gap * spread * np.sqrt(2)] * rivals])
    for _ in range(draws):
        scores = truth + spread * generator.normal(size=len(truth))
        options = [
            option(f"m{place}", float(value), place, resamples=value + spread * generator.normal(size=200))
            for place, value in enumerate(scores)
        ]
        often += choose(options, metric="roc_auc", greater_is_better=True).option.name == "m0"
    return often / draws


@pytest.mark.parametrize(
    ("gap", "rivals", "documented"),
    [(0, 1, 0.83), (1, 1, 0.49), (2, 1, 0.16), (0, 4, 0.82), (1, 4, 0.42), (2, 4, 0.09)],
)
def test_the_rule_keeps_the_simplest_as_often_as_the_documentation_says(
    gap: float, rivals: int, documented: float
) -> None:
    """The sampling error of 250 draws is 3 points."""
    assert kept(gap, rivals) == pytest.approx(documented, abs=0.08)


def test_against_four_equal_rivals_the_simplest_wins_as_often_as_against_one() -> None:
    rivals = {"simple": 0.6, "b": 0.6, "c": 0.6, "d": 0.6, "e": 0.6}
    assert share_of("simple", rivals, metric="rmse") >= 0.7


@pytest.mark.parametrize("metric", ["roc_auc", "rmse"])
def test_a_complex_model_that_is_truly_better_wins(metric: str) -> None:
    assert share_of("complex", {"simple": 1.2, "complex": 0.3}, metric=metric, seeds=30) >= 0.95


def test_hopeless_rivals_do_not_loosen_the_rule() -> None:
    hopeless = {f"h{number}": 4.0 for number in range(6)}
    with_them = share_of("complex", {"simple": 0.63, **hopeless, "complex": 0.6}, metric="rmse")
    assert with_them >= share_of("complex", {"simple": 0.63, "complex": 0.6}, metric="rmse") - 0.1


def test_on_thirty_rows_nothing_breaks_and_the_simplest_is_rarely_left() -> None:
    assert share_of("simple", {"simple": 0.6, "complex": 0.6}, rows=30) >= 0.6


def test_a_score_that_is_no_number_is_never_chosen_and_breaks_nothing() -> None:
    found = [option("nan", float("nan"), 0), option("good", 0.8, 3)]
    choice = choose(found, metric="roc_auc", greater_is_better=True)
    assert choice.option.name == "good"
    assert [as_good for _, _, as_good in choice.behind] == [False, True]
    with pytest.raises(ValueError, match="no candidate"):
        choose(found[:1], metric="roc_auc", greater_is_better=True)


def test_resamples_that_are_undefined_for_one_model_are_left_out_of_the_difference() -> None:
    gaps = np.where(np.arange(200) % 3 == 0, np.nan, 0.8 + NOISE)
    found = [option("simple", 0.80, 1, resamples=gaps), option("best", 0.801, 4, own=0.02)]
    assert choose(found, metric="roc_auc", greater_is_better=True).option.name == "simple"
