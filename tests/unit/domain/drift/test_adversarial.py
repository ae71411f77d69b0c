"""A classifier sees what no column shows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.domain.drift.adversarial import LEAST, tell_apart
from passerelle.domain.drift.boosted import boost
from passerelle.domain.drift.coded import MISSING, PARTS, Coded, code_rows
from passerelle.domain.drift.levels import Encoded
from passerelle.domain.drift.reference import make_reference

TYPES: dict[str, ColumnType] = {"x": "number", "y": "number", "z": "number", "kind": "category", "at": "datetime"}


def table(rows: int, seed: int, together: float = 0.0, shift: float = 0.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x, y, z = rng.standard_normal((3, rows))
    return {
        "x": x + shift,
        "y": together * x + np.sqrt(1 - together**2) * y,
        "z": z,
        "kind": np.array(["a", "b", "c", None], object)[rng.integers(0, 4, rows)],
        "at": np.full(rows, np.datetime64("2020-01-01")),
    }


LAYOUT = make_reference(table(5_000, 99), TYPES).layout


def coded(rows: int, seed: int, **changed: float) -> Coded:
    return code_rows(LAYOUT, table(rows, seed, **changed))


def test_rows_become_small_codes_and_times_are_left_out() -> None:
    found = code_rows(LAYOUT, {"x": [-99.0, 99.0, None], "y": [0.0] * 3, "kind": ["a", None, "new"], "at": [None] * 3})
    assert found.names == ("x", "y", "z", "kind")
    assert found.ordered == (True, True, True, False)
    assert found.rows.dtype == np.uint8
    x, kind = found.rows[:, 0].tolist(), found.rows[:, 3].tolist()
    assert (x[0], x[2]) == (0, MISSING)
    assert x[1] >= PARTS - 2
    assert kind[1:] == [MISSING, PARTS]
    assert set(found.rows[:, 2].tolist()) == {MISSING}


def test_encoded_levels_have_the_codes_of_their_texts() -> None:
    texts = np.array(["a", None, "new", "c"], object)
    encoded = Encoded(codes=np.array([0, -1, 1, 2]), levels=["a", "new", "c"])
    rows = table(4, 0)
    one, other = (code_rows(LAYOUT, rows | {"kind": each}).rows for each in (texts, encoded))
    assert one.tolist() == other.tolist()


def test_trees_learn_what_two_columns_say_only_together() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (2_000, 3)).astype(np.uint8)
    labels = (rows[:, 0] ^ rows[:, 1]).astype(float)
    rows[:50, 0] ^= 1  # trees of depth two need a first split that gains a little
    model = boost(Coded(names=("a", "b", "c"), ordered=(True, True, True), rows=rows), labels)
    assert np.mean((model(rows) > 0) == (labels == 1)) > 0.9


def test_trees_group_levels_that_have_no_order() -> None:
    rows = np.random.default_rng(0).integers(0, 10, (2_000, 1)).astype(np.uint8)
    labels = np.isin(rows[:, 0], [1, 4, 8]).astype(float)
    model = boost(Coded(names=("kind",), ordered=(False,), rows=rows), labels)
    assert np.mean((model(rows) > 0) == (labels == 1)) == 1.0


def test_windows_of_one_population_are_told_apart_in_about_one_of_twenty() -> None:
    found = [tell_apart(coded(60, 2 * seed), coded(80, 2 * seed + 1), seed=seed) for seed in range(10)]
    # Of 10 draws at 5 %, more than 3 come in one of a thousand.
    assert sum(each.p_value <= 0.05 for each in found if each) <= 3


def test_columns_that_part_company_give_the_window_away() -> None:
    told = tell_apart(coded(500, 1), coded(500, 2, together=0.95))
    assert told is not None
    assert told.p_value == 0.01
    assert told.area.value > 0.6
    assert {name for name, _ in told.columns[:2]} == {"x", "y"}


def test_a_shift_is_named_by_its_column() -> None:
    told = tell_apart(coded(200, 1, shift=1.0), coded(200, 2))
    assert told is not None
    assert told.columns[0][0] == "x"
    assert told.area.lower > 0.6


def test_the_same_rows_and_seed_say_the_same() -> None:
    assert tell_apart(coded(100, 1), coded(100, 2), seed=3) == tell_apart(coded(100, 1), coded(100, 2), seed=3)


@pytest.mark.parametrize("rows", [0, LEAST - 1])
def test_too_few_rows_say_nothing(rows: int) -> None:
    assert tell_apart(coded(rows, 1), coded(500, 2)) is None
