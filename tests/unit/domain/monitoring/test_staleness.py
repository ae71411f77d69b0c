"""A decay that is there is found, one that is not is not alarmed, and a hard period is not taken for an old model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from passerelle.contracts.backtest import BacktestCell, BacktestResult, Cadence, Staleness
from passerelle.domain.monitoring.ageing import student_width
from passerelle.domain.monitoring.staleness import Judged, age_words, judge_staleness, pooled
from passerelle.domain.project.monitoring import Retrain

NOISE = 0.002


def cells_of(
    periods: int,
    *,
    seed: int = 1,
    decay: float = 0.0,
    hard: float = 0.03,
    models: float = 0.0,
    world: float = 0.0,
    **changes: Any,
) -> list[BacktestCell]:
    """Return what a back-test of so many periods might find.

    Parameters
    ----------
    decay : what is lost per period of age. hard, models, world : how much periods, models of one training, and what
        the world does between two trainings vary, as standard deviations.
    """
    random = np.random.default_rng(seed)
    easy, chance = random.normal(0, hard, periods), random.normal(0, models, periods)
    drift = np.cumsum(random.normal(0, world, periods))
    return [
        BacktestCell(
            trained=trained,
            scored=scored,
            score=float(
                0.8
                + easy[scored]
                - decay * (scored - trained - 1)
                + chance[trained]
                + drift[trained]
                + random.normal(0, NOISE)
            ),
            rows=1_000,
            standard_error=NOISE,
            **changes,
        )
        for trained in range(periods // 3, periods)
        for scored in range(trained + 1, min(periods, trained + 13))
    ]


def judged(cells: list[BacktestCell], **changes: Any) -> Staleness:
    return judge_staleness(
        cells, Judged(**{"metric": "roc_auc", "greater_is_better": True, "period": "month", **changes})
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), decay=st.floats(0.004, 0.02), hard=st.floats(0, 0.1))
def test_a_planted_decay_is_found_however_hard_the_periods_are(seed: int, decay: float, hard: float) -> None:
    found = judged(cells_of(18, seed=seed, decay=decay, hard=hard))
    assert found.verdict == "found"
    assert found.slope is not None
    assert found.slope[0] == pytest.approx(decay, abs=0.0015)
    assert found.cadence is not None
    # At age a, a - 1 times the decay is lost.
    truth = min(12, 1 + int(0.01 / decay))
    assert abs(found.cadence.periods - truth) <= 1
    assert found.cadence.lower <= found.cadence.periods <= (found.cadence.upper or found.cadence.seen)


@pytest.mark.parametrize("varied", [{}, {"models": 0.005}, {"world": 0.005}, {"models": 0.004, "world": 0.004}])
@pytest.mark.parametrize("periods", [8, 14])
def test_without_a_decay_hardly_one_in_twenty_is_alarmed(periods: int, varied: dict[str, float]) -> None:
    found = [judged(cells_of(periods, seed=seed, **varied)) for seed in range(100)]
    assert sum(each.verdict == "found" for each in found) <= 7


@pytest.mark.parametrize("varied", [{"models": 0.003}, {"world": 0.003}])
def test_the_intervals_hold_what_was_planted(varied: dict[str, float]) -> None:
    held = [
        point.lower <= 0.005 * (point.age - 1) <= point.upper
        for seed in range(100)
        for point in judged(cells_of(16, seed=seed, decay=0.005, **varied)).curve
    ]
    assert np.mean(held) >= 0.9


def test_periods_that_grow_ever_harder_make_no_model_old() -> None:
    # Whoever compares scores by age alone, or the champion's with those of its first month, takes this for decay.
    cells = [
        cell.model_copy(update={"score": cell.score - 0.02 * cell.scored})
        for cell in cells_of(14, hard=0, models=0.002)
    ]
    fresh = [cell.score for cell in cells if cell.age == 1]
    assert fresh[0] - fresh[-1] > 0.1
    assert judged(cells).verdict == "none"


def test_one_change_of_the_world_is_one_however_many_periods_show_it() -> None:
    # Models that learnt before period 9 lose 0.05 on all that follows: a single event says little about the next.
    cells = [
        cell.model_copy(update={"score": cell.score - 0.05 * (cell.trained < 9 <= cell.scored)})
        for cell in cells_of(16)
    ]
    found = judged(cells)
    assert found.cadence is not None
    assert found.cadence.upper is None
    assert found.curve[-1].upper - found.curve[-1].lower > 0.02


def test_a_metric_of_which_less_is_better_is_lost_when_it_rises_and_its_limit_is_a_share() -> None:
    cells = [cell.model_copy(update={"score": 80 * (2 - cell.score)}) for cell in cells_of(16, decay=0.01)]
    found = judged(cells, metric="rmse", greater_is_better=False)
    assert found.verdict == "found"
    assert found.slope is not None
    assert found.slope[0] == pytest.approx(0.8, rel=0.2)
    assert found.limit == pytest.approx(0.01 * np.mean([cell.score for cell in cells if cell.age == 1]), rel=0.05)
    assert judged(cells, metric="rmse", greater_is_better=False, limit=3.0).limit == 3.0


def test_scores_that_vary_together_on_resamples_are_compared_more_sharply() -> None:
    random = np.random.default_rng(3)
    shared = {scored: random.normal(0, 0.05, 200) for scored in range(14)}
    alone = [cell.model_copy(update={"standard_error": 0.05}) for cell in cells_of(14, decay=0.004)]
    paired = [
        cell.model_copy(update={"resamples": tuple(cell.score + shared[cell.scored] + random.normal(0, NOISE, 200))})
        for cell in alone
    ]
    assert judged(alone).verdict == "none"
    assert judged(paired).verdict == "found"


@pytest.mark.parametrize("periods", [0, 3, 5])
def test_too_few_periods_are_said_to_be_too_few_with_what_is_needed(periods: int) -> None:
    found = judged(cells_of(periods))
    assert (found.verdict, found.curve, found.cadence) == ("too_few", (), None)
    assert "at least 4" in found.words
    assert "--period week" in found.words


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_was_scored_there_is_an_answer_in_words(data: st.DataObject) -> None:
    cells = cells_of(data.draw(st.integers(2, 12)), seed=data.draw(st.integers(0, 99)))
    kept = [cell for cell in cells if data.draw(st.booleans())]
    scores = st.sampled_from([0.8, 0.8, float("nan"), 0.0, 1.0])
    wild = [cell.model_copy(update={"score": data.draw(scores), "standard_error": None}) for cell in kept]
    for tried in (kept, wild):
        found = judged(tried, period=data.draw(st.sampled_from(["month", "week", "day", "30d"])), training_cost=1.0)
        assert found.words.endswith(".")
        assert (found.cadence is None) == (found.verdict == "too_few")
        assert all(np.isfinite([point.loss, point.lower, point.upper]).all() for point in found.curve)


def test_the_words_name_age_loss_interval_and_cadence() -> None:
    found = judged(cells_of(16, decay=0.005))
    assert found.cadence is not None
    assert found.words.startswith("A model of 8 months has lost 0.0")
    assert f"proposed: train every {found.cadence.periods} months (" in found.words
    still = judged(cells_of(16))
    assert still.words.startswith("No staleness is seen within 8 months")
    assert "train every 8 months or less often" in still.words
    assert [age_words(*told) for told in ((1, "month"), (3, "week"), (2, "30d"), (1, "1d"))] == [
        "1 month", "3 weeks", "60 days", "1 day",
    ]  # fmt: skip


def test_a_dearer_training_is_done_less_often_and_the_cheapest_cadence_is_that_of_the_lowest_cost() -> None:
    # Each period of age loses 0.01 per row of 1,000: 10 a period; of cost c every m periods, c / m + 5 (m - 1) is paid.
    cells = [cell.model_copy(update={"worth": 10 * cell.score}) for cell in cells_of(24, decay=0.001, hard=0.001)]
    exact = [cell.model_copy(update={"worth": 5.0 - 0.01 * (cell.age - 1)}) for cell in cells]
    for cost, best in ((4.0, 1), (45.0, 3), (100.0, 4), (10_000.0, 12)):
        found = judged(exact, training_cost=cost).cheapest
        assert found is not None
        assert found.periods == best
        assert found.costs[found.periods - 1] == pytest.approx(cost / best + 5 * (best - 1), rel=1e-3)
    assert "of least cost is every 12 months" in judged(exact, training_cost=10_000.0).words
    assert judged(exact, training_cost=45.0, period="30d").words.endswith(" USD per 30 days.")
    assert judged(exact).cheapest is None, "nobody knows what a training costs"
    assert judged(cells_of(24), training_cost=1.0).cheapest is None, "nor what an error does"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_what_is_pooled_never_falls_and_keeps_its_mean(values: list[float]) -> None:
    found = pooled(np.asarray(values), np.ones(len(values)))
    assert np.all(np.diff(found) >= -1e-12)
    assert np.mean(found) == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 40])
def test_the_width_of_an_interval_is_students(freedom: int) -> None:
    assert student_width(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)


@pytest.mark.parametrize(("period", "days"), [("month", 90), ("week", 21), ("day", 3), ("30d", 90), ("999d", 2_997)])
def test_the_proposed_cadence_is_one_that_a_project_can_declare(period: str, days: int) -> None:
    result = BacktestResult(
        project="p", run_id="r", dataset_id="d", candidate="logistic", metric="roc_auc", greater_is_better=True,
        period=period, window=None, periods=(), cells=(),
        staleness=Staleness(verdict="found", limit=0.01, words="", cadence=Cadence(periods=3, lower=1, upper=5, seen=6)),
    )  # fmt: skip
    assert result.every_days == days
    assert Retrain(every_days=result.every_days).every_days == days
    none = result.model_copy(update={"staleness": Staleness(verdict="too_few", limit=0.01, words="")})
    assert none.every_days is None
    long = Cadence(periods=12, lower=1, upper=None, seen=12)
    endless = result.staleness.model_copy(update={"cadence": long})
    assert Retrain(every_days=result.model_copy(update={"staleness": endless}).every_days)
