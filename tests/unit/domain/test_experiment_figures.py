"""Champion and challenger on the same requests: figures beside those of papers and other libraries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from passerelle.contracts.experiment import Agreement, Estimate
from passerelle.domain.experiment.agreement import Answers, compare_answers, independent_rows
from passerelle.domain.experiment.interval import difference, quantile_interval, share_interval
from passerelle.domain.experiment.load import compare_latency
from passerelle.domain.experiment.paired import Labelled, Scored, delong, judge_metric, judge_money, mcnemar
from passerelle.domain.resampling import By, draw_weights, make_blocks

ROWS = 600


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def bounds(found: Estimate) -> tuple[float | None, float | None]:
    return found.lower, found.upper


def test_a_share_has_wilsons_interval_also_at_nought_and_one() -> None:
    assert bounds(share_interval(0.0, 10)) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert bounds(share_interval(1.0, 10)) == pytest.approx((0.72247, 1.0), abs=1e-5)
    assert bounds(share_interval(0.0, 0)) == (0.0, 1.0)


def test_the_difference_of_two_shares_is_newcombes() -> None:
    """The first example of Newcombe 1998: 56 of 70 less 48 of 80."""
    found = difference(share_interval(56 / 70, 70), share_interval(48 / 80, 80))
    assert (found.value, *bounds(found)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_a_quantile_lies_between_the_order_statistics_of_the_tables() -> None:
    found = quantile_interval(np.arange(1.0, 11.0), 0.5)
    assert (found.value, *bounds(found)) == (5.5, 2.0, 9.0)
    assert quantile_interval(np.arange(367.0), 0.99).upper is None
    assert quantile_interval(np.arange(368.0), 0.99).upper == 367.0


def test_a_difference_without_a_bound_on_one_side_has_none_there() -> None:
    unbounded = Estimate(value=5.0, lower=4.0, upper=None)
    found = difference(unbounded, Estimate(value=2.0, lower=1.0, upper=3.0))
    assert found.upper is None
    assert found.lower == pytest.approx(3 - np.sqrt(2))


def test_latencies_are_compared_at_their_quantiles(generator: np.random.Generator) -> None:
    champion = generator.lognormal(1.0, 0.5, 4_000)
    slower = compare_latency(champion, champion + 3.0)
    assert [one.share for one in slower] == [0.5, 0.9, 0.99]
    assert all(one.longer.value == pytest.approx(3.0) for one in slower)
    assert slower[0].longer.lower is not None
    assert slower[0].longer.lower > 2.5
    assert compare_latency(champion, np.asarray([])) == ()


def answers(generator: np.random.Generator) -> tuple[Answers, Answers]:
    scores = generator.random(ROWS)
    other = np.where(generator.random(ROWS) < 0.8, scores, generator.random(ROWS))
    return tuple(Answers(decisions=one > 0.5, scores=one) for one in (scores, other))  # type: ignore[return-value]


def compared(champion: Answers, challenger: Answers, entities: Any = None) -> Agreement:
    told = champion.scores if champion.scores is not None else champion.decisions
    assert told is not None
    blocks = make_blocks(len(told), by="row" if entities is None else "entity", entities=entities)
    return compare_answers(champion, challenger, blocks, draw_weights(blocks, seed=0, rounds=300))


def test_agreement_has_the_figures_of_the_textbooks_within_their_intervals(generator: np.random.Generator) -> None:
    champion, challenger = answers(generator)
    found = compared(champion, challenger)
    theirs, ours = champion.scores, challenger.scores
    assert theirs is not None
    assert ours is not None
    expected = {
        "decisions": np.mean(champion.decisions == challenger.decisions),
        "kappa": cohen_kappa_score(champion.decisions, challenger.decisions),
        "correlation": np.corrcoef(theirs, ours)[0, 1],
        "rank_correlation": stats.spearmanr(theirs, ours)[0],
        "shift": (ours.mean() - theirs.mean()) / np.sqrt((ours.var() + theirs.var()) / 2),
    }
    for name, value in expected.items():
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(value, abs=1e-9), name
        assert estimate.lower < value < estimate.upper
        assert estimate.upper - estimate.lower < 0.3


def test_models_that_say_the_same_of_everything_agree_wholly_and_one_that_says_one_thing_has_no_kappa(
    generator: np.random.Generator,
) -> None:
    champion, _ = answers(generator)
    itself = compared(champion, champion)
    assert itself.decisions is not None
    assert itself.decisions.value == 1.0
    assert itself.kappa is not None
    assert itself.kappa.value == pytest.approx(1.0)
    assert itself.shift is not None
    assert itself.shift.value == 0.0
    constant = Answers(decisions=np.ones(50, dtype=bool), scores=np.full(50, 0.7))
    one_thing = compared(constant, constant)
    assert (one_thing.kappa, one_thing.correlation, one_thing.shift) == (None, None, None)


def test_answers_that_are_no_numbers_are_left_out_and_counted(generator: np.random.Generator) -> None:
    champion, challenger = answers(generator)
    assert challenger.scores is not None
    broken = replace(challenger, scores=np.where(np.arange(ROWS) < 7, np.nan, challenger.scores))
    found = compared(champion, broken)
    assert (found.requests, found.left_out) == (ROWS - 7, 7)
    assert found.correlation is not None
    nothing = compared(champion, replace(challenger, scores=np.full(ROWS, np.nan)))
    assert (nothing.requests, nothing.decisions, nothing.shift) == (0, None, None)


def test_rows_of_an_entity_that_agree_with_each_other_count_for_one(generator: np.random.Generator) -> None:
    hits = np.repeat(generator.random(150) < 0.7, 10).astype(float)
    entities = np.repeat(np.arange(150), 10)
    by_entity = make_blocks(1_500, by="entity", entities=entities)
    assert independent_rows(hits, by_entity) == pytest.approx(150, rel=0.02)
    assert independent_rows(np.ones(1_500), by_entity) == 150
    assert independent_rows(hits, make_blocks(1_500, by="row")) == 1_500


def test_a_regression_is_compared_by_its_scores_alone(generator: np.random.Generator) -> None:
    scores = generator.normal(size=ROWS)
    found = compared(Answers(scores=scores), Answers(scores=scores + 1))
    assert found.decisions is None
    assert found.shift is not None
    assert found.shift.value == pytest.approx(1 / scores.std())


@pytest.mark.parametrize(
    ("won", "lost", "method", "p_value"),
    [(1, 9, "mcnemar_exact", 22 / 1024), (40, 20, "mcnemar", 0.0098227), (0, 0, "mcnemar_exact", 1.0)],
)
def test_mcnemar_is_exact_for_few_rows_that_one_model_alone_gets_right(
    won: int, lost: int, method: str, p_value: float
) -> None:
    champion = np.repeat([False, True, True], [won, lost, 100])
    challenger = np.repeat([True, False, True], [won, lost, 100])
    found = mcnemar(champion, challenger)
    assert found is not None
    assert found.method == method
    assert found.p_value == pytest.approx(p_value, rel=1e-4)
    assert found.better.value == pytest.approx((won - lost) / (won + lost + 100))
    assert found.better.lower is not None
    assert found.better.upper is not None
    assert found.better.lower < found.better.value < found.better.upper


def test_the_interval_of_mcnemar_is_that_of_bonett_and_price() -> None:
    """One row more on each side that only one model gets right: 2 and 10 of 112."""
    found = mcnemar(np.repeat([False, True, True], [1, 9, 100]), np.repeat([True, False, True], [1, 9, 100]))
    assert found is not None
    assert bounds(found.better) == pytest.approx((-0.13059, -0.01227), abs=1e-5)


def by_pairs(positive: Any, one: Any, other: Any) -> tuple[float, float]:
    """DeLong's difference and its standard error as the paper writes them, with every pair."""
    wins = []
    for scores in (one, other):
        apart = scores[positive][:, None] - scores[~positive][None, :]
        wins.append((apart > 0) + 0.5 * (apart == 0))
    gained = wins[1] - wins[0]
    of_events, of_others = gained.mean(axis=1), gained.mean(axis=0)
    error = np.sqrt(of_events.var(ddof=1) / len(of_events) + of_others.var(ddof=1) / len(of_others))
    return float(gained.mean()), float(error)


def test_delong_is_what_the_paper_defines_over_all_pairs_with_ties(generator: np.random.Generator) -> None:
    positive = generator.random(300) < 0.3
    one = np.round(positive + generator.normal(size=300), 1)
    other = np.round(one + generator.normal(size=300), 1)
    found = delong(positive, one, other)
    better, error = by_pairs(positive, one, other)
    assert found is not None
    assert found.champion == pytest.approx(roc_auc_score(positive, one))
    assert found.challenger == pytest.approx(roc_auc_score(positive, other))
    assert found.better.value == pytest.approx(better)
    assert found.better.upper == pytest.approx(better + 1.959964 * error)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(better) / error))


def test_curves_that_are_the_same_do_not_differ_and_one_class_has_no_curve(generator: np.random.Generator) -> None:
    positive = np.arange(40) < 10
    scores = generator.random(40)
    same = delong(positive, scores, scores)
    assert same is not None
    assert (same.better.value, same.p_value) == (0.0, 1.0)
    assert delong(np.arange(40) < 1, scores, scores) is None


def labelled(generator: np.random.Generator, by: By = "row", worse: float = 0.0) -> tuple[Labelled, Scored, Scored]:
    labels = (generator.random(ROWS) < 0.4).astype(int)
    blocks = make_blocks(ROWS, by=by, entities=np.arange(ROWS) // 3)
    rows = Labelled("binary", labels, np.asarray([0, 1]), blocks, draw_weights(blocks, seed=1, rounds=400))

    def scored(noise: float) -> Scored:
        shares = stats.norm.cdf(labels - 0.5 + noise * generator.normal(size=ROWS))
        return Scored((shares >= 0.5).astype(int), np.column_stack([1 - shares, shares]))

    return rows, scored(0.5), scored(0.5 + worse)


def test_the_test_follows_the_metric_and_what_varies_together(generator: np.random.Generator) -> None:
    rows, champion, challenger = labelled(generator)
    methods = {}
    for metric in ("accuracy", "roc_auc", "brier"):
        found = judge_metric(metric, rows, champion, challenger)
        assert found is not None
        methods[metric] = found.method
    assert methods == {"accuracy": "mcnemar", "roc_auc": "delong", "brier": "bootstrap"}
    rows, champion, challenger = labelled(generator, "entity")
    for metric in methods:
        by_entity = judge_metric(metric, rows, champion, challenger)
        assert by_entity is not None
        assert (by_entity.method, by_entity.resampled) == ("bootstrap", "whole entities")


def test_the_bootstrap_agrees_with_delong_and_more_is_better_whatever_the_metric(
    generator: np.random.Generator,
) -> None:
    rows, champion, challenger = labelled(generator, worse=1.0)
    exact = judge_metric("roc_auc", rows, champion, challenger)
    drawn = judge_metric("roc_auc", replace(rows, blocks=replace(rows.blocks, unit="entity")), champion, challenger)
    assert exact is not None
    assert drawn is not None
    assert drawn.better.value == pytest.approx(exact.better.value)
    assert bounds(drawn.better) == pytest.approx(bounds(exact.better), abs=0.02)
    for metric in ("brier", "log_loss", "roc_auc"):
        found = judge_metric(metric, rows, champion, challenger)
        assert found is not None
        assert found.better.upper is not None
        assert found.better.upper < 0
        assert found.p_value < 0.01


def test_money_is_compared_row_by_row(generator: np.random.Generator) -> None:
    rows, *_ = labelled(generator)
    champion = generator.normal(0.0, 30.0, ROWS)
    found = judge_money(rows, champion, champion + 1 + generator.normal(size=ROWS), "USD")
    assert found is not None
    assert found.of == "USD per decision"
    assert found.better.lower is not None
    assert 0.8 < found.better.lower < found.better.value < 1.2
