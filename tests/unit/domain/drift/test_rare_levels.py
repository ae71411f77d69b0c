"""Levels without a counter are counted by how often the reference held them, and what they will hold is foretold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from passerelle.domain.drift.cuts import LevelCuts, rarely
from passerelle.domain.drift.judged import judge
from passerelle.domain.drift.levels import LevelCounts, Tallied, cells_beside, count_levels
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import make_reference
from passerelle.domain.drift.tested import RareLevels, levels_p_value

Array = npt.NDArray[Any]
LEVELS = 1_000
SHARES = 1 / np.arange(1, LEVELS + 1) / (1 / np.arange(1, LEVELS + 1)).sum()


def tallied(rows: Array) -> Tallied:
    return Tallied({f"level {at}": int(rows[at]) for at in np.flatnonzero(rows)}, 0)


def p_value(before: Array, now: Array) -> float:
    cuts = LevelCuts.of([*tallied(before).counts.items()])
    cells, cells_before = cells_beside(cuts, count_levels(cuts, tallied(now)), count_levels(cuts, tallied(before)))
    variances = np.array([each.variance for each in cuts.classes[::-1]])
    return levels_p_value(cells, cells_before, RareLevels(len(cuts.levels), cuts.distinct, variances))


def moved(before: Array, share: float) -> Array:
    """Return the shares of levels once a part of the less rare ones without a counter went to the rarest."""
    order, shares = np.argsort(-before, kind="stable"), SHARES.copy()
    less_rare, rarest = order[100:300], order[300:]
    shares[rarest] += shares[less_rare].sum() * share / len(rarest)
    shares[less_rare] *= 1 - share
    return shares


@pytest.mark.parametrize("rows", [300, 10_000])
def test_rare_levels_that_did_not_change_are_significant_as_often_as_promised(rows: int) -> None:
    rng = np.random.default_rng(rows)
    found = sum(p_value(rng.multinomial(10_000, SHARES), rng.multinomial(rows, SHARES)) < 0.05 for _ in range(150))
    # 99.9 % of the counts of 150 windows at 5 % are below 17.
    assert found < 17


@pytest.mark.parametrize(("share", "least"), [(0.2, 0.6), (0.1, 0.2)])
def test_a_hundred_rows_show_that_some_are_spread_over_a_thousand_levels(share: float, least: float) -> None:
    rng = np.random.default_rng(8)
    shares = (1 - share) * SHARES + share / LEVELS
    found = sum(p_value(rng.multinomial(10_000, SHARES), rng.multinomial(100, shares)) < 0.05 for _ in range(150))
    # Scores of ranks by themselves saw 42 and 12 % of such windows.
    assert found >= least * 150


def test_rows_that_move_among_levels_without_a_counter_alarm() -> None:
    rng = np.random.default_rng(3)
    names = np.array([f"level {at}" for at in range(LEVELS)], object)
    found = 0
    for _ in range(10):
        before = rng.multinomial(10_000, SHARES)
        reference = make_reference({"x": np.repeat(names, before)}, {"x": "category"})
        window = {"x": np.repeat(names, rng.multinomial(2_000, moved(before, 0.5)))}
        found += bool(judge(reference, count(reference.layout, window)).alarms)
    # Where all of them share one cell none of these windows alarms.
    assert found >= 9


def test_levels_that_were_chosen_for_a_counter_are_not_held_to_what_they_were_chosen_for() -> None:
    # 4,000 planes, flown about as often: the hundred most frequent of a reference are so by chance alone.
    rng = np.random.default_rng(6)
    names = np.array([f"plane {at}" for at in range(4_000)], object)
    shares = rng.gamma(2.0, size=4_000)
    shares /= shares.sum()
    found = 0
    for _ in range(30):
        before, now = rng.multinomial(10_000, shares), rng.multinomial(1_000, shares)
        reference = make_reference({"x": np.repeat(names, before)}, {"x": "category"})
        found += bool(judge(reference, count(reference.layout, {"x": np.repeat(names, now)})).alarms)
    assert found <= 4


def test_what_rare_levels_will_hold_is_foretold_without_bias() -> None:
    rng = np.random.default_rng(4)
    apart = []
    for _ in range(200):
        before = rng.multinomial(10_000, SHARES)
        for least, greatest in ((1, 1), (2, 3), (4, 7)):
            share, variance = rarely(before[before > 0], least, greatest)
            true = SHARES[(before >= least) & (before <= greatest)].sum()
            apart.append((share - true) / np.sqrt(variance))
    every = np.reshape(apart, (200, 3))
    # What they held themselves is half a share off and more; deviations of one say that the variance is the truth's.
    assert (np.abs(every.mean(0)) < 0.4).all()
    assert (every.std(0) < 1.25).all()


def test_levels_are_known_by_class_and_unseen_ones_are_not() -> None:
    counts = [*((f"own {at}", 50) for at in range(100)), ("seven", 7), ("two", 2), ("one", 1)]
    cuts = LevelCuts.of(counts)
    found = count_levels(cuts, ["seven", "two", "two", "one", "never", None, "own 3"])
    assert found.others.tolist() == [1, 2, 1]
    assert (found.unseen, found.missing, found.other) == (1, 1, 4)
    assert isinstance(found + LevelCounts.nothing(cuts), LevelCounts)


def test_of_too_many_levels_none_is_called_unseen() -> None:
    cuts = LevelCuts.of([(f"id {at}", 1) for at in range(5_000)])
    found = count_levels(cuts, ["never", "id 3"])
    assert (found.unseen, found.rows) == (0, 2)
