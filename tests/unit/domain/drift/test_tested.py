"""Tests of levels keep their error where nothing changed, and see rows that drift from frequent levels to rare ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from passerelle.domain.drift.tested import levels_p_value

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
