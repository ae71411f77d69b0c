"""What moves in one group of rows only is found there and said there; what moves in all of them is said once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.prediction import SCORE
from passerelle.domain.drift.frames import to_pandas
from passerelle.domain.drift.judged import Drift, judge
from passerelle.domain.drift.model_monitor import violations
from passerelle.domain.drift.page import Heading, drift_page
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.segments import ALL_LEVELS, LEVELS, segment_cuts
from passerelle.domain.drift.usual import usual_moves
from passerelle.domain.monitoring.incidents import Watch, follow
from passerelle.domain.monitoring.window_verdict import moved_columns

TYPES: dict[str, ColumnType] = {"x": "number", "kind": "category", "note": "text", "site": "category", SCORE: "number"}
Change = Callable[[dict[str, Any]], None]


def rows(n: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    site = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    return {
        "x": rng.normal(site / 2, 1),
        "kind": np.array(["a", "b", "c", "d", "e"], object)[rng.integers(0, 5, n)],
        "note": np.where(rng.random(n) < 0.02, None, "text").astype(object),
        "site": np.array(["A", "B", "C", "D"], object)[site],
        SCORE: rng.beta(2, 5, n),
    }


@cache
def reference() -> Reference:
    table = rows(10_000, 1)
    return make_reference(table, TYPES, ["x", "kind"], segment_cuts(table, TYPES, ["site"], 200))


def judged(change: Change, n: int = 2_000, seed: int = 2) -> Drift:
    window = rows(n, seed)
    change(window)
    return judge(reference(), count(reference().layout, window))


def alarms(drift: Drift) -> set[tuple[str, str, str]]:
    return {(signal.segment, signal.column, signal.kind) for signal in drift.alarms}


def nothing(window: dict[str, Any]) -> None:
    """Leave the window as it is."""


def moved(by: float, *sites: str) -> Change:
    def change(window: dict[str, Any]) -> None:
        window["x"][np.isin(window["site"].astype(str), sites)] += by

    return change


def lost(column: str, share: float, *sites: str) -> Change:
    def change(window: dict[str, Any]) -> None:
        gone = np.random.default_rng(9).random(len(window["site"])) < share
        values = window[column].astype(object) if column == "note" else window[column]
        values[gone & np.isin(window["site"].astype(str), sites)] = None if column == "note" else np.nan
        window[column] = values

    return change


def test_a_shift_of_half_a_deviation_in_one_segment_is_found_there_in_nineteen_windows_of_twenty() -> None:
    found = [alarms(judged(moved(0.5, "B"), 1_500, seed)) for seed in range(20)]
    assert sum(("site = B", "x", "distribution") in each for each in found) >= 19
    others = [each for one in found for each in one if each[0] not in ("", "site = B")]
    assert len(others) <= 2


def test_windows_like_the_reference_alarm_in_a_segment_in_at_most_one_of_twenty() -> None:
    found = sum(
        any(each[0] for each in alarms(judged(nothing, n, seed))) for seed in range(50, 90) for n in (300, 3_000)
    )
    # 99 % of the counts of 80 windows that alarm one time in twenty are at most 9.
    assert found <= 9


@pytest.mark.parametrize("by", [0.5, 1.0])
def test_a_shift_of_all_segments_is_told_once_by_the_whole(by: float) -> None:
    found = [alarms(judged(moved(by, "A", "B", "C", "D"), 5_000, seed)) for seed in range(5)]
    assert all(("", "x", "distribution") in each for each in found)
    assert sum(bool(segment) for each in found for segment, _, _ in each) <= 1


def test_values_that_stay_away_in_one_segment_are_missed_there_and_in_all_segments_by_the_whole() -> None:
    one = alarms(judged(lost("note", 0.3, "C")))
    assert ("site = C", "note", "missing") in one
    assert {segment for segment, _, _ in one} <= {"", "site = C"}
    assert alarms(judged(lost("note", 0.3, "A", "B", "C", "D"))) == {("", "note", "missing")}


def test_a_segment_that_only_stays_behind_the_others_is_no_news() -> None:
    found = alarms(judged(moved(1.0, "A", "B", "C"), 5_000))
    assert ("", "x", "distribution") in found
    assert not [each for each in found if each[0] == "site = D"]


def test_the_models_score_is_looked_at_within_segments() -> None:
    def change(window: dict[str, Any]) -> None:
        here = window["site"] == "D"
        window[SCORE][here] = np.random.default_rng(3).beta(4, 3, int(here.sum()))

    assert ("site = D", SCORE, "distribution") in alarms(judged(change))


def test_a_mix_that_moves_between_segments_alone_moves_nothing_within_them() -> None:
    window = rows(6_000, 4)
    kept = np.flatnonzero((window["site"] != "A") | (np.random.default_rng(0).random(6_000) < 0.3))
    found = judge(reference(), count(reference().layout, {name: values[kept] for name, values in window.items()}))
    assert ("", "site", "distribution") in alarms(found)
    assert not [each for each in alarms(found) if each[0]]


def test_what_a_segment_moves_all_the_time_is_no_news() -> None:
    days = []
    for day in range(10):
        window = rows(400, 100 + day)
        moved(1.0 if day % 2 else -1.0, "B")(window)
        days.append(count(reference().layout, window))
    usual = usual_moves(reference(), days)
    assert usual["site = B: x"] > 0.2
    window = rows(2_000, 2)
    moved(0.5, "B")(window)
    quiet = replace(reference(), usual=usual)
    assert not [each for each in alarms(judge(quiet, count(quiet.layout, window))) if each[0]]


def test_few_rows_of_a_segment_say_nothing_of_it() -> None:
    assert not [signal for signal in judged(moved(3.0, "D"), 100).signals if signal.segment == "site = D"]


def test_a_window_without_the_dividing_column_is_judged_as_a_whole() -> None:
    window = rows(500, 3)
    del window["site"]
    found = judge(reference(), count(reference().layout, window))
    assert not [signal for signal in found.signals if signal.segment]


def test_the_segment_is_said_wherever_the_alarm_is() -> None:
    window = rows(2_000, 2)
    moved(0.8, "B")(window)
    profile = count(reference().layout, window)
    drift = judge(reference(), profile)
    signal = next(signal for signal in drift.alarms if signal.segment)
    assert signal.where == "site = B: x"
    assert "of rows above" in signal.told
    assert signal.to_dict()["segment"] == "site = B"
    assert "site = B" in set(to_pandas(drift)["segment"])
    page = drift_page(Heading(project="p", window="today", model="m"), drift, reference(), profile)
    assert "site = B: x" in page
    assert "site = B: " in str(violations(drift))
    _, events = follow(Watch(), "2026-01-01", [signal for signal in drift.signals if signal.segment])
    assert events[0].incident.segments == ("site = B",)
    assert events[0].incident.words.startswith("site = B: x: ")


def test_the_most_frequent_levels_with_enough_rows_are_looked_at_up_to_a_cap() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"l{i:02}" for i in range(60)], object)
    many = {name: names[rng.integers(0, 60, 30_000)] for name in ("one", "two", "three")}
    found = segment_cuts(many, dict.fromkeys(many, "category"), ["one", "two", "three", "none"], 100)
    assert [len(cuts.names) for cuts in found.values()] == [LEVELS, ALL_LEVELS - LEVELS]
    few = {"site": np.array(["a"] * 150 + ["b"] * 99, object)}
    assert segment_cuts(few, {"site": "category"}, ["site"], 100)["site"].names == ("a",)


def test_a_number_of_few_values_divides_by_them_and_another_by_its_quartiles() -> None:
    rng = np.random.default_rng(0)
    columns = {"stops": rng.integers(0, 3, 900).astype(float), "age": np.append(np.nan, np.arange(899.0))}
    found = segment_cuts(columns, {"stops": "integer", "age": "number"}, ["stops", "age"], 100)
    assert set(found["stops"].names) == {"0", "1", "2"}
    assert found["age"].names == ("under 224.5", "224.5 to under 449", "449 to under 673.5", "673.5 and more")
    assert found["age"].places([float("nan"), 0.0, 449.0, 1e9]).tolist() == [4, 0, 2, 3]
    assert found["stops"].places([2.0, None, 7.0]).tolist() == [found["stops"].names.index("2"), 3, 3]


def test_segments_of_a_part_and_of_answers_joined_keep_their_own_rows() -> None:
    table = rows(4_000, 1)
    inputs = {name: type_ for name, type_ in TYPES.items() if name != SCORE}
    cuts = segment_cuts(table, inputs, ["site", "kind"], 200)
    some = make_reference(table, inputs, ["x"], cuts).only({"x", "site"})
    assert set(some.profile.segments) == {"site"}
    answers = make_reference(rows(1_000, 5), {SCORE: "number"}, segments=cuts)
    both = some.joined(answers)
    assert set(both.layout.segments) == {"site"}
    assert both.profile.segments["site"]["x"].sum() == 4_000
    assert both.profile.segments["site"][SCORE].sum() == 1_000
    assert Reference.from_json(both.to_json()).to_json() == both.to_json()
    assert not judge(both, count(both.layout, rows(900, 6))).alarms


def test_what_a_segment_moved_is_not_taken_for_what_all_rows_moved() -> None:
    drift = judged(moved(0.8, "D"))
    whole = next(each for each in drift.signals if (each.segment, each.column, each.kind) == ("", "x", "distribution"))
    assert ("site = D", "x", "distribution") in alarms(drift)
    shares, severities = moved_columns(drift)
    assert shares["x"] == round(whole.effect.value, 4)
    assert severities["x"] == drift.severity
