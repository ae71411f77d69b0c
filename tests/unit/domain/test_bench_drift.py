"""The drift benchmark compares tools fairly: the same windows, and power at exactly the same share of false alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.drift import parse
from bench.drift_shares import interval, power, powers, rows_of_false_alarms, rows_of_power
from bench.drift_tool import alibi_style, ours
from bench.drift_windows import (
    CASES,
    POPULATIONS,
    REFERENCE_ROWS,
    Case,
    digest,
    drawn,
    read_flights,
    synthetic,
    take,
    unchanged,
    write_flights,
)
from passerelle.domain.drift.levels import Encoded

NOWHERE = Path("nowhere")


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(0, 200) == pytest.approx((0.0, 0.01885), abs=1e-5)
    assert interval(10, 200) == pytest.approx((0.02738, 0.08958), abs=1e-5)
    assert interval(200, 200)[1] == 1.0


def test_power_is_the_rate_where_nothing_changed_however_coarse_the_scores_are() -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=200), rng.integers(0, 3, 200), np.zeros(200), rng.normal(size=7)):
        assert power(scores.tolist(), scores.tolist()) == pytest.approx(0.05)


def test_power_counts_what_lies_above_the_threshold() -> None:
    calm = [float(score) for score in range(100)]
    assert power(calm, [94.5, 94.0, 95.0, 200.0]) == pytest.approx(0.75)
    assert power(calm, [0.0, 1.0]) == 0.0


def _score_row(strength: float, rules: dict[str, list[float]], alarmed: int) -> dict[str, Any]:
    row = {"population": "mean", "rows": 100, "strength": strength, "windows": 4, "scores": rules}
    return row | {"alarmed": {next(iter(rules)): alarmed}}


def test_each_tools_threshold_comes_of_its_own_unchanged_windows() -> None:
    calm, moved = [0.0, 1.0, 2.0, 3.0], [2.5, 3.5, 4.0, 5.0]
    mine = [_score_row(0, {"ours": calm, "ours, any signal": calm}, 0)]
    mine += [_score_row(0.5, {"ours": moved, "ours, any signal": calm}, 3)]
    peers = [_score_row(0, {"peer": [10 * score for score in calm]}, 4), _score_row(0.5, {"peer": moved}, 4)]
    found = powers(mine + peers)
    assert [(row["strength"], row["default"]) for row in found] == [(0.5, {"ours": 0.75, "peer": 1.0})]
    assert found[0]["power"] == {"ours": 0.75, "ours, any signal": 0.05, "peer": 0.0}
    (row,) = rows_of_power(found)
    assert (row["ours"], row["peer"], row["peer_name"], row["ratio"]) == (0.75, 0.0, "peer", None)


def test_false_alarms_stand_beside_each_peers_of_the_same_case() -> None:
    found = [
        {"case": "a", "rule": "ours", "windows": 200, "alarmed": 4},
        {"case": "a", "rule": "peer", "windows": 50, "alarmed": 50},
    ]
    (row,) = rows_of_false_alarms(found)
    assert (row["ours"], row["peer"], row["ratio"], row["peer_windows"]) == (0.02, 1.0, 50.0, 50)
    assert row["ours_interval"] == [0.0078, 0.0503]


def test_a_repetition_draws_the_same_windows_again_and_another_one_others() -> None:
    case = Case("synthetic", 5, 20, 50)
    first, again, other = (unchanged(case, repetition, NOWHERE) for repetition in (0, 0, 1))
    assert digest(first[1]) == digest(again[1]) != digest(other[1])
    assert len(first[0]["number_0"]) == REFERENCE_ROWS
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_grid_has_the_sizes_levels_and_columns_that_are_promised() -> None:
    assert {50, 100_000} <= {case.rows for case in CASES}
    assert {2, 1_000} <= {case.levels for case in CASES}
    assert {5, 100} <= {case.columns for case in CASES}


def test_real_windows_are_splits_of_the_flights_without_a_row_in_both(tmp_path: Path) -> None:
    numbers = [name for name, values in _frame().items() if values.dtype.kind == "f"]
    path = write_flights(tmp_path / "flights.npz", _frame())
    reference, window = unchanged(Case("flights", 17, 3, 50, 150), 0, path)
    assert read_flights(path)["origin"].levels == ["LGA", "JFK"]
    assert sorted([*reference["flight"], *window["flight"]]) == list(range(200))
    assert set(numbers) < set(window)
    assert take(window, slice(0, 2))["origin"].codes.shape == (2,)


def _frame() -> pd.DataFrame:
    names = ("month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
             "flight", "air_time", "distance", "hour", "minute")  # fmt: skip
    levels = dict.fromkeys(("carrier", "tailnum", "origin", "dest"), ["LGA", "JFK"] * 100)
    return pd.DataFrame({name: np.arange(200.0) for name in names} | levels)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda population: population.name)
def test_every_shift_is_seen_by_our_signals_at_its_greatest_strength(population: Any) -> None:
    calm = ours(*drawn(population, 10_000, population.unchanged, 0)).scores["ours, any signal"]
    moved = ours(*drawn(population, 10_000, population.strengths[-1], 0)).scores["ours, any signal"]
    assert moved > calm + 3


def test_the_rule_of_tabular_drift_takes_numbers_levels_and_what_is_missing() -> None:
    columns = synthetic(np.random.default_rng(0), 4_000, 8, 20)
    before, now = take(columns, slice(None, 2_000)), take(columns, slice(2_000, None))
    assert alibi_style(before, now).scores["alibi-style"] < 3
    moved = dict(now) | {
        "number_0": now["number_0"] + 1,
        "level_1": Encoded(codes=now["level_1"].codes // 2, levels=now["level_1"].levels),
    }
    assert alibi_style(before, moved).alarms["alibi-style"] == 2
    empty = {"x": np.full(9, np.nan), "y": Encoded(codes=np.full(9, -1), levels=["a"])}
    assert alibi_style({"x": np.arange(9.0), "y": empty["y"]}, empty).scores["alibi-style"] == 0.0


@pytest.mark.parametrize("wrong", [["--repetitions", "0"], ["--calibration", "5"], ["--only", "nothing"]])
def test_options_that_measure_nothing_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)
