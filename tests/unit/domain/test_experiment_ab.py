"""An A/B test: who meets which model, whether the split came out, and intervals that may be read at any time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.experiment import Case, draw, read_often
from passerelle.contracts.experiment import AbEffect, AbEvidence, AbPlan, Estimate, SplitPhase
from passerelle.domain.experiment.ab import Duration, judge_ab
from passerelle.domain.experiment.assignment import arm_of, place_of
from passerelle.domain.experiment.betting import bets, betting_effect, betting_interval, horizon, log_wealth, matched
from passerelle.domain.experiment.plan import binary_spread, make_plan
from passerelle.domain.experiment.sequence import Outcomes, asymptotic_effect, best_scale, boundary
from passerelle.domain.experiment.split import check_split
from passerelle.errors import InputError

CUSTOMERS = [(f"customer {number}",) for number in range(4_000)]


def challenged(salt: str, share: float) -> Any:
    return np.asarray([arm_of(one, salt, share) == "challenger" for one in CUSTOMERS])


def test_an_entity_is_always_answered_by_the_same_model_and_each_model_gets_its_share() -> None:
    first = challenged("spring", 0.2)
    assert np.array_equal(first, challenged("spring", 0.2))
    assert stats.binomtest(int(first.sum()), len(first), 0.2).pvalue > 0.001


def test_who_has_the_challenger_keeps_it_when_its_share_grows() -> None:
    few, many = challenged("spring", 0.05), challenged("spring", 0.3)
    assert np.all(many[few])
    assert many.sum() > 4 * few.sum()


def test_places_are_spread_evenly_and_another_experiment_draws_anew() -> None:
    spring, autumn = ([place_of(one, salt) for one in CUSTOMERS] for salt in ("spring", "autumn"))
    assert stats.kstest(spring, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(spring, autumn)[0, 1]) < 0.06


def test_an_assignment_is_the_same_in_every_version_of_the_program() -> None:
    """Were this figure to change, entities would change their model in the midst of an experiment."""
    assert place_of(("N14228", 7), "flights-2026") == pytest.approx(PLACE, abs=1e-12)
    assert place_of(("a", "b"), "x") != place_of(("a,b",), "x")
    assert place_of(("7",), "x") == place_of((7,), "x")


PLACE = 0.7450569102897309


@pytest.mark.parametrize("share", [0.0, 0.04, 0.51, 1.0])
def test_a_share_outside_5_to_50_percent_is_refused_with_the_way_out(share: float) -> None:
    with pytest.raises(InputError, match=r"0\.05 to 0\.5"):
        arm_of(("a",), "spring", share)
    with pytest.raises(InputError, match=r"0\.05 to 0\.5"):
        make_plan(effect=0.1, spread=1.0, share=share)


def phase(share: float, champion: int, challenger: int) -> SplitPhase:
    return SplitPhase(share=share, champion=champion, challenger=challenger)


@pytest.mark.parametrize(
    ("phases", "holds"),
    [
        ([], True),
        ([phase(0.5, 0, 0)], True),
        ([phase(0.5, 5_000, 5_000)], True),
        ([phase(0.1, 9_000, 1_000)], True),
        ([phase(0.1, 9_200, 800)], False),
        ([phase(0.1, 9_135, 865)], False),
        ([phase(0.5, 5_100, 4_900)], True),
        ([phase(0.5, 5_350, 4_650)], False),
        ([phase(0.1, 9_000, 1_000), phase(0.5, 500, 500)], True),  # together 15 % of one declared share, each is right
        ([phase(0.1, 9_000, 1_000), phase(0.5, 5_350, 4_650)], False),
    ],
)
def test_a_split_holds_where_chance_explains_it(phases: list[SplitPhase], holds: bool) -> None:
    assert check_split(phases).holds is holds


def test_a_right_split_that_is_checked_after_every_entity_is_hardly_ever_called_broken() -> None:
    generator = np.random.default_rng(1)
    broken = 0
    for _ in range(40):
        challenger = np.cumsum(generator.random(2_000) < 0.2)
        at = np.arange(9, 2_000, 10)
        checks = (check_split([phase(0.2, int(n + 1 - challenger[n]), int(challenger[n]))], 0.05) for n in at)
        broken += any(not check.holds for check in checks)
    assert broken <= 6  # 5 % of 40 are 2


def test_the_boundary_is_tightest_where_it_was_planned_to_be_and_wider_than_that_of_one_reading() -> None:
    best = best_scale(0.05)
    around = boundary(best * np.linspace(0.2, 5, 400), 0.05)
    assert boundary(best, 0.05) <= around.min() + 1e-9
    assert float(boundary(best, 0.05)) == pytest.approx(3.03, abs=0.01)


def test_the_boundary_is_where_the_mixture_of_normal_likelihoods_reaches_one_over_the_error() -> None:
    """The mixture integrated by hand: effects of variance `scale` times that of the estimate, in standard errors."""
    scale = 3.0
    z = float(boundary(scale, 0.05))
    effects = np.linspace(-30, 30, 60_001)
    mixed = np.sum(np.exp(z * effects - effects**2 / 2) * stats.norm.pdf(effects, scale=np.sqrt(scale)))
    assert mixed * (effects[1] - effects[0]) == pytest.approx(20, rel=1e-4)


PLAN = make_plan(effect=0.05, spread=binary_spread(0.2), share=0.5)


def test_a_plan_states_the_entities_that_a_material_effect_needs() -> None:
    """Read once: 1,005 for each of two proportions of a spread of 0.4, as tables have it."""
    assert PLAN.fixed == pytest.approx(2 * 1_005, abs=2)
    assert 1.7 < PLAN.entities / PLAN.fixed < 2.1
    smaller = make_plan(effect=0.05, spread=0.4, share=0.05)
    assert smaller.entities == pytest.approx(PLAN.entities * 0.25 / (0.05 * 0.95), rel=0.001)
    with pytest.raises(InputError, match="a difference that matters"):
        make_plan(effect=0.0, spread=0.4, share=0.5)


def test_sums_over_entities_are_those_of_their_rows() -> None:
    values, entities = np.asarray([1.0, 3.0, 5.0, 7.0]), np.asarray(["a", "b", "a", "a"])
    found = Outcomes.of(values, entities)
    assert (float(found.mean), int(found.entities), float(found.rows)) == (4.0, 2, 4.0)
    assert float(found.spread_squared) == pytest.approx((13 - 3 * 4) ** 2 + (3 - 4) ** 2)
    alone = Outcomes.of(values)
    assert float(alone.spread_squared) == pytest.approx(np.var(values, ddof=1))


@pytest.mark.parametrize("champion", [0.2, 0.23, 0.24, 0.242, 0.25])
def test_the_p_value_is_below_the_error_just_where_the_interval_leaves_nought_out(champion: float) -> None:
    theirs, ours = (Outcomes.of((np.arange(2_000) < 2_000 * rate).astype(float)) for rate in (champion, 0.2))
    found = asymptotic_effect(theirs, ours, PLAN, "share of yes")
    assert found.more.lower is not None
    assert found.more.upper is not None
    assert found.p_value is not None
    assert (found.p_value < 0.05) is not (found.more.lower <= 0 <= found.more.upper)


def test_nothing_is_read_before_there_are_enough_entities_or_where_nothing_varies() -> None:
    ones = np.ones(50)
    for champion, challenger in ((ones[:0], ones), (ones, ones * 0), (np.ones(500), np.ones(500))):
        found = asymptotic_effect(Outcomes.of(champion), Outcomes.of(challenger), PLAN, "x")
        assert (found.more.lower, found.more.upper, found.p_value) == (None, None, 1.0)


CASES = {
    "binary": Case(name="binary", rate=0.2, effect=0.05),
    "rare, a twentieth": Case(name="rare", rate=0.02, effect=0.03, share=0.05),
    "money": Case(name="money", outcome="money", effect=6.0),
    "entities come back": Case(name="returning", rate=0.3, effect=0.1, rows=10),
}


@pytest.mark.parametrize("name", CASES)
def test_read_at_every_look_the_sequence_errs_as_rarely_as_promised_where_the_usual_test_does_not(name: str) -> None:
    found = read_often(CASES[name], experiments=60, looks=40, seed=3)
    assert found.decided["sequence"] <= 0.1  # 5 % promised; 60 experiments
    assert found.missed["sequence"] <= 0.1
    assert found.decided["repeated z"] > 0.15


@pytest.mark.parametrize("name", CASES)
def test_a_material_effect_is_found_by_the_planned_end_and_mostly_before(name: str) -> None:
    found = read_often(CASES[name], experiments=60, looks=40, seed=4, true=1.0)
    assert found.decided["sequence"] >= 0.7
    assert found.taken["sequence"] < 0.85
    assert found.missed["sequence"] <= 0.1


def test_rows_of_entities_that_come_back_taken_for_independent_would_raise_false_alarms() -> None:
    found = read_often(CASES["entities come back"], experiments=60, looks=40, seed=3)
    assert found.decided["sequence of rows"] > found.decided["sequence"] + 0.1


def test_the_betting_interval_holds_for_few_and_rare_outcomes_and_shrinks() -> None:
    generator = np.random.default_rng(2)
    covered, widths = 0, {}
    for _ in range(60):
        values = (generator.random(400) < 0.03).astype(float)
        reads = {count: betting_interval(values[:count], 0.05, 400) for count in (1, 5, 20, 80, 400)}
        covered += all(lower <= 0.03 <= upper for lower, upper in reads.values())
        widths = {count: upper - lower for count, (lower, upper) in reads.items()}
    assert covered >= 54
    assert widths[400] < 0.5 * widths[20]
    assert betting_interval(np.asarray([]), 0.05, 400) == (0.0, 1.0)


def test_the_ends_of_a_betting_interval_are_where_either_bet_has_made_forty_of_one() -> None:
    values = np.random.default_rng(9).random(300)
    lower, upper = betting_interval(values, 0.05, 300)
    staked = bets(values, 0.05, 300)
    assert log_wealth(values, staked, lower)[-1] == pytest.approx(np.log(40), abs=1e-6)
    assert log_wealth(1 - values, staked, 1 - upper)[-1] == pytest.approx(np.log(40), abs=1e-6)


def test_no_bet_loses_more_than_three_quarters_of_what_there_is() -> None:
    assert log_wealth(np.zeros(2), np.full(2, 10.0), 0.5).tolist() == pytest.approx([np.log(0.25), 2 * np.log(0.25)])


def test_a_bet_knows_nothing_of_what_it_is_on() -> None:
    """Were a bet's size to follow its own outcome, the last value would move more than what it adds itself."""
    values = np.random.default_rng(8).random(50)
    changed = np.append(values[:-1], 0.0)
    assert np.array_equal(bets(values, 0.05, 100), bets(changed, 0.05, 100))


def test_outcomes_are_set_against_as_many_of_the_champions_as_the_share_gives() -> None:
    champion, challenger = np.arange(8.0), np.asarray([10.0, 20.0, 30.0])
    assert matched(champion, challenger, 0.25).tolist() == [10 - 1, 20 - 4]
    assert matched(champion, challenger, 0.5).tolist() == [10, 19, 28]


def test_betting_finds_the_effect_that_was_planned_in_the_units_of_the_outcome() -> None:
    plan = make_plan(effect=2.0, spread=4.0, share=0.2)
    case = Case(name="bounded", rate=0.2, effect=0.2, share=0.2)
    stream = draw(case, 2 * plan.entities, np.random.default_rng(3), 1.0)
    champion, challenger = (10 * stream.values[arm] for arm in (~stream.challenger, stream.challenger))
    found = betting_effect(champion, challenger, plan, least=0.0, greatest=10.0, unit="USD per prediction")
    assert found.more.lower is not None
    assert found.more.upper is not None
    assert 0 < found.more.lower < 2.0 < found.more.upper < 4.0
    assert horizon(plan) == pytest.approx(plan.entities * 0.2, abs=1)


GOOD_SPLIT = check_split([phase(0.5, 1_000, 1_010)])
BROKEN_SPLIT = check_split([phase(0.5, 2_000, 1_000)])


def effect(lower: float | None, upper: float | None) -> AbEffect:
    return AbEffect(
        method="asymptotic", unit="USD per prediction", champion_entities=1_000, challenger_entities=1_010,
        champion=1.0, challenger=1.1, more=Estimate(value=0.1, lower=lower, upper=upper),
    )  # fmt: skip


def judged(given: AbEffect | None, days: float = 10.0, split: Any = GOOD_SPLIT, plan: AbPlan = PLAN) -> AbEvidence:
    return judge_ab(plan=plan, split=split, effect=given, days=days, duration=Duration())


@pytest.mark.parametrize(
    ("given", "days", "verdict", "said"),
    [
        (effect(0.01, 0.2), 10.0, "promote", "it is better"),
        (effect(0.01, 0.2), 3.0, "keep", "3 days of at least 7"),  # less than a week
        (effect(-0.2, -0.01), 3.0, "reject", "not better by the 0.05 that matter"),
        (effect(-0.2, 0.04), 10.0, "reject", "not better by the 0.05 that matter"),
        (effect(-0.1, 0.2), 10.0, "keep", "not decided yet"),
        (effect(None, None), 10.0, "keep", "not decided yet"),
        (effect(-0.1, 0.2), 28.0, "reject", "not shown to be better within its time"),
        (None, 10.0, "keep", "no outcomes"),
    ],
)
def test_the_verdict_follows_the_interval_and_the_time(
    given: AbEffect | None, days: float, verdict: str, said: str
) -> None:
    evidence = judged(given, days)
    assert evidence.verdict == verdict
    assert any(said in reason for reason in evidence.reasons)
    assert AbEvidence.model_validate_json(evidence.model_dump_json()) == evidence


@pytest.mark.parametrize("given", [effect(0.01, 0.2), effect(-0.2, -0.01), None])
def test_with_a_broken_split_nothing_else_is_read(given: AbEffect | None) -> None:
    evidence = judged(given, days=40.0, split=BROKEN_SPLIT)
    assert evidence.verdict == "keep"
    assert len(evidence.reasons) == 1
    assert "the split is broken" in evidence.reasons[0]
