"""Profiles are exact sums: of any chunks, in any order, and the same after JSON."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.contracts.bundle import ColumnType
from passerelle.domain.drift.form import LayoutError
from passerelle.domain.drift.levels import SKETCH, Encoded, LevelCounts
from passerelle.domain.drift.numbers import NumberCounts
from passerelle.domain.drift.profile import Profile, count
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.segments import segment_cuts
from passerelle.domain.drift.times import TimeCounts
from passerelle.errors import InputError

TYPES: dict[str, ColumnType] = {
    "amount": "number", "hour": "integer", "origin": "category", "open": "boolean", "at": "datetime",
}  # fmt: skip


def table(rows: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(0, 2, rows)
    amount[rng.random(rows) < 0.05] = np.nan
    seconds = rng.integers(0, 10_000_000, rows)
    return {
        "amount": amount,
        "hour": rng.integers(0, 24, rows),
        "origin": np.array(["EWR", "JFK", "LGA", None], object)[rng.integers(0, 4, rows)],
        "open": rng.random(rows) < 0.3,
        "at": np.datetime64("2013-01-01T00:00:00") + seconds.astype("timedelta64[s]"),
    }


SEGMENTS = segment_cuts(table(2_000), TYPES, ["origin", "open", "hour"], 200)
REFERENCE = make_reference(table(2_000), TYPES, ["amount", "origin", "hour"], SEGMENTS)


def same(one: Profile, other: Profile) -> bool:
    return one.to_json() == other.to_json()


wild = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.none(), st.text(max_size=3), st.integers(-(10**40), 10**40)
)
times = st.datetimes().map(lambda moment: np.datetime64(moment, "s")) | st.just(np.datetime64("NaT"))


@st.composite
def chunks(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(0, 12))
    values: dict[str, Any] = {
        "amount": wild,
        "hour": st.integers(-5, 30),
        "origin": st.sampled_from(["EWR", "JFK", "new", "", "é", None]),
        "open": st.booleans() | st.none(),
        "at": times,
    }
    held = draw(st.sets(st.sampled_from(sorted(values)), min_size=1))
    made = {name: draw(st.lists(values[name], min_size=rows, max_size=rows)) for name in sorted(held)}
    if "at" in made:
        made["at"] = np.array(made["at"], "datetime64[s]")
    if draw(st.booleans()):
        made["surprise"] = list(range(rows))
    return made


@given(st.lists(chunks(), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_windows_add_up_to_the_same_in_any_order_and_grouping(three: list[dict[str, Any]]) -> None:
    one, two, last = (count(REFERENCE.layout, chunk) for chunk in three)
    assert same((one + two) + last, one + (two + last))
    assert same(one + two, two + one)
    assert same(one + count(REFERENCE.layout, {}), one)


@given(st.integers(1, 400), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_hours_add_up_to_the_day_that_is_counted_at_once(hour_rows: int, seed: int) -> None:
    whole = table(1_200, seed)
    cut = [slice(at, at + hour_rows) for at in range(0, 1_200, hour_rows)]
    hours = [count(REFERENCE.layout, {name: values[each] for name, values in whole.items()}) for each in cut]
    assert same(reduce(Profile.__add__, hours), count(REFERENCE.layout, whole))


@given(chunks())
@settings(max_examples=80, deadline=None)
def test_a_profile_is_the_same_after_json(chunk: dict[str, Any]) -> None:
    profile = count(REFERENCE.layout, chunk)
    assert same(Profile.from_dict(json.loads(profile.to_json()), REFERENCE.layout), profile)


def test_a_reference_is_the_same_after_json() -> None:
    read = Reference.from_json(REFERENCE.to_json())
    assert read.to_json() == REFERENCE.to_json()
    assert read.layout.id == REFERENCE.layout.id


def test_what_is_counted_is_what_is_there() -> None:
    at = np.array(["2013-01-07T05:00:00", "2013-01-06T23:59:59", "NaT"], "datetime64[s]")
    found = count(
        REFERENCE.layout,
        {
            "amount": [1.5, float("nan"), float("-inf")],
            "hour": [3, "x", None],
            "origin": ["JFK", "SFO", None],
            "open": [True, False, None],
            "at": at,
            "gate": [1, 2, 3],
        },
    )
    amount, hour, origin = found.columns["amount"], found.columns["hour"], found.columns["origin"]
    opened, moment = found.columns["open"], found.columns["at"]
    assert isinstance(amount, NumberCounts)
    assert (amount.finite, amount.missing, amount.below, amount.least) == (1, 1, 1, 1.5)
    assert isinstance(hour, NumberCounts)
    assert (hour.finite, hour.missing, hour.invalid) == (1, 1, 1)
    assert isinstance(origin, LevelCounts)
    assert (origin.news, origin.unseen, origin.missing) == ({"SFO": 1}, 1, 1)
    assert isinstance(opened, LevelCounts)
    assert (opened.cells.tolist(), opened.missing) == ([1, 1], 1)
    assert isinstance(moment, TimeCounts)
    assert (moment.hours[5], moment.hours[23], moment.weekdays[0], moment.weekdays[6], moment.missing) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert (found.rows, found.extra) == (3, {"gate": 3})


def test_an_encoded_column_counts_as_its_texts_do() -> None:
    texts = np.array(["LGA", None, "SFO", "LGA"], object)
    encoded = Encoded(codes=np.array([0, -1, 1, 0]), levels=["LGA", "SFO"])
    columns = {name: values[:4] for name, values in table(4).items()}
    assert same(
        count(REFERENCE.layout, columns | {"origin": texts}), count(REFERENCE.layout, columns | {"origin": encoded})
    )


def test_moments_are_the_numbers_own() -> None:
    numbers = np.random.default_rng(0).normal(100, 7, 5_000)
    reference = make_reference({"x": numbers}, {"x": "number"})
    counts, cuts = reference.profile.columns["x"], reference.layout.columns["x"]
    assert isinstance(counts, NumberCounts)
    assert counts.mean(cuts) == pytest.approx(numbers.mean(), rel=1e-6)  # type: ignore[arg-type]
    assert counts.deviation(cuts) == pytest.approx(numbers.std(), rel=1e-4)  # type: ignore[arg-type]


def test_levels_are_counted_exactly_while_few_and_estimated_when_many() -> None:
    reference = make_reference({"x": [f"id{i}" for i in range(10_000)]}, {"x": "text"})
    few = count(reference.layout, {"x": ["a", "b", "a"]}).columns["x"]
    many = count(reference.layout, {"x": [f"new{i}" for i in range(20_000)]}).columns["x"]
    assert isinstance(few, LevelCounts)
    assert isinstance(many, LevelCounts)
    assert few.distinct == 2
    assert many.distinct == pytest.approx(20_000, rel=0.5)
    assert len(many.news) <= SKETCH
    assert many.rows == 20_000


def test_a_level_beyond_those_with_a_counter_is_known_and_an_unseen_one_is_not() -> None:
    reference = make_reference({"x": [f"l{i}" for i in range(1_000)]}, {"x": "category"})
    found = count(reference.layout, {"x": [*(f"l{i}" for i in range(1_000)), *(f"n{i}" for i in range(1_000))]})
    counts = found.columns["x"]
    assert isinstance(counts, LevelCounts)
    assert counts.other >= 900
    assert 960 <= counts.unseen <= 1_000


def test_the_reference_of_a_hundred_columns_takes_at_most_300_kb() -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"number{i}": rng.normal(i, 1 + i, 20_000) for i in range(60)}
    levels = np.array([f"level {i}" for i in range(1_000)], object)
    columns |= {f"category{i}": levels[rng.integers(0, 1_000, 20_000)] for i in range(40)}
    types: dict[str, ColumnType] = {name: "number" if name < "d" and name[0] == "n" else "category" for name in columns}
    types |= {name: "number" for name in columns if name.startswith("number")}
    levels = np.array([f"segment {i}" for i in range(40)], object)
    for name in ("category0", "category1"):
        columns[name] = levels[rng.integers(0, 40, 20_000)]
    for values in columns.values():
        values[rng.random(20_000) < 0.05] = None if values.dtype == object else np.nan
    segments = segment_cuts(columns, types, ["category0", "category1"], 200)
    assert [len(cuts.names) for cuts in segments.values()] == [20, 20]
    assert len(make_reference(columns, types, list(columns), segments).to_json()) <= 300_000


def test_profiles_of_two_references_are_never_added_or_read_for_one_another() -> None:
    other = make_reference(table(2_000, seed=9), TYPES)
    mine, theirs = count(REFERENCE.layout, table(5)), count(other.layout, table(5))
    with pytest.raises(LayoutError, match="different references"):
        _ = mine + theirs
    with pytest.raises(LayoutError, match="Count it again"):
        Profile.from_dict(theirs.to_dict(), REFERENCE.layout)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"columns": {}}'])
def test_what_is_no_reference_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(InputError, match=r"Train the model again|Take it from the model's bundle"):
        Reference.from_json(text)


def test_columns_of_different_lengths_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"Column hour has 1 rows and amount 2"):
        count(REFERENCE.layout, {"amount": [1.0, 2.0], "hour": [1]})


@pytest.mark.parametrize(
    "numbers",
    [[], [5.0], [float("nan")] * 3, [1e308, -1e308, 0.0], [5e-324, 1e-323, 0.0], [float("inf"), 1.0], list(range(65))],
)
def test_any_column_of_numbers_makes_a_reference_that_counts_it_all(numbers: list[float]) -> None:
    reference = make_reference({"x": numbers}, {"x": "number"}, ["x"])
    counts = reference.profile.columns["x"]
    assert isinstance(counts, NumberCounts)
    assert counts.rows == len(numbers)
    assert Reference.from_json(reference.to_json()).profile.to_json() == reference.profile.to_json()
