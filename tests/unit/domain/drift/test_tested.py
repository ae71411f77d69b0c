"""Tests keep their error where nothing changed; they see spreads that grow, and rows that go to rarer levels."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from passerelle.domain.drift.tested import levels_p_value, ordered_p_value

Array = npt.NDArray[Any]


def significant(levels: int, rows: int, spread: float, windows: int = 200) -> int:
    """Return how many windows are significant at 5 %, of levels by Zipf's law of which a share is spread evenly."""
    rng = np.random.default_rng([levels, rows])
    shares = 1 / np.arange(1, levels + 1) / (1 / np.arange(1, levels + 1)).sum()
    found = 0
    for _ in range(windows):
        before = rng.multinomial(10_000, shares)
        now = rng.multinomial(rows, (1 - spread) * shares + spread / levels)
        own = np.argsort(-before, kind="stable")[:100]
        rest = np.delete(np.arange(levels), own)
        cells, cells_before = (np.append(each[own], each[rest].sum()) for each in (now, before))
        found += levels_p_value(cells, cells_before) < 0.05
    return found


@pytest.mark.parametrize("levels", [3, 20, 1_000])
@pytest.mark.parametrize("rows", [50, 1_000])
def test_levels_that_did_not_change_are_significant_as_often_as_promised(levels: int, rows: int) -> None:
    # 99.9 % of the counts of 200 windows at 5 % are below 21.
    assert significant(levels, rows, 0.0) < 21


@pytest.mark.parametrize(("levels", "least"), [(20, 100), (1_000, 160)])
def test_rows_that_go_from_frequent_levels_to_rare_ones_are_seen(levels: int, least: int) -> None:
    # Chi-square and the level that moved most alone see 29 % and 77 % of these.
    assert significant(levels, 1_000, 0.1) >= least


def p_values(rows: int, spread: float, windows: int) -> Array:
    """Return the p-values of windows of a normal column whose deviation grew, in 64 cells of equal shares."""
    rng = np.random.default_rng([rows, windows])
    borders = [NormalDist().inv_cdf(at / 64) for at in range(1, 64)]
    shares = np.diff([0.0, *(NormalDist(sigma=spread).cdf(border) for border in borders), 1.0])
    before = rng.multinomial(10_000, np.full(64, 1 / 64), windows)
    now = rng.multinomial(rows, shares, windows)
    return np.array([ordered_p_value(*each, (1, 1)) for each in zip(now, before, strict=True)])


@pytest.mark.parametrize("rows", [50, 400])
def test_numbers_that_did_not_change_are_significant_as_often_as_promised_also_at_one_in_a_thousand(rows: int) -> None:
    found = p_values(rows, 1.0, 3_000)
    # Three deviations above what 5 % and 0.1 % of 3,000 windows give.
    assert (found < 0.05).sum() <= 186
    assert (found < 0.001).sum() <= 9


def test_a_spread_that_grows_by_a_quarter_is_seen_in_most_windows_of_a_hundred_rows() -> None:
    # Without the look at the spread by normal scores these were 136.
    assert (p_values(100, 1.25, 200) < 0.05).sum() > 140
