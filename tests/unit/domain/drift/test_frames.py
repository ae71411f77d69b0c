"""A frame's columns count as the values that are seen in it, whatever library and type hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.domain.drift.frames import from_arrow, from_pandas
from passerelle.domain.drift.layout import LevelCuts
from passerelle.domain.drift.levels import Encoded, LevelCounts, count_levels, level_counts
from passerelle.domain.drift.numbers import NumberCounts, sort_numbers
from passerelle.domain.drift.reference import make_reference
from passerelle.domain.drift.times import TimeCounts, count_times
from passerelle.errors import InputError

WORDS = ["LGA", None, "JFK", "LGA"]
MOMENTS = ["2013-01-07T05:30:00+02:00", None, "2013-01-08T00:30:00+02:00", "2013-01-08T01:30:00+02:00"]


def arrow(type_: Any) -> pd.ArrowDtype:
    return pd.ArrowDtype(type_)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series(WORDS, dtype=object),
        pd.Series(["LGA", pd.NA, "JFK", "LGA"], dtype=object),
        pd.Series(WORDS, dtype="str"),
        pd.Series(WORDS, dtype="string"),
        pd.Series(WORDS, dtype="category"),
        pd.Series(WORDS, dtype=arrow(pa.string())),
        pd.Series(WORDS, dtype=arrow(pa.large_string())),
        pd.Series(WORDS).astype(arrow(pa.dictionary(pa.int32(), pa.string()))),
    ],
    ids=lambda series: str(series.dtype),
)
def test_texts_come_by_their_dictionary(series: pd.Series) -> None:
    found = from_pandas(pd.DataFrame({"origin": series}))["origin"]
    assert isinstance(found, Encoded)
    assert level_counts(found) == ({"LGA": 2, "JFK": 1}, 1)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([3.0, np.nan, -1.0]),
        pd.Series([3, None, -1], dtype="Int64"),
        pd.Series([3, None, -1], dtype="Float32"),
        pd.Series([3, None, -1], dtype=arrow(pa.int64())),
        pd.Series([3, None, -1], dtype=arrow(pa.float32())),
        pd.Series([3, pd.NA, -1], dtype=object),
        pd.Series([3, None, -1], dtype="category"),
        pd.Series(["3", None, "-1"], dtype="str"),
    ],
    ids=lambda series: str(series.dtype),
)
def test_numbers_are_numbers_and_missing_ones_missing(series: pd.Series) -> None:
    found = sort_numbers(from_pandas(pd.DataFrame({"delay": series}))["delay"])
    assert (found.numbers.tolist(), found.missing, found.invalid) == ([-1.0, 3.0], 1, 0)


def test_whole_numbers_that_miss_none_keep_their_type() -> None:
    frame = pd.DataFrame({"plain": np.array([1, 2], np.int16), "masked": pd.Series([1, 2], dtype="Int64")})
    found = from_pandas(frame)
    assert (found["plain"].dtype, found["masked"].dtype) == (np.dtype(np.int16), np.dtype(np.int64))


def test_moments_are_counted_in_utc() -> None:
    plain = pd.to_datetime(pd.Series(MOMENTS), utc=True).dt.tz_convert("Europe/Paris")
    ours = plain.astype(arrow(pa.timestamp("us", tz="Europe/Paris")))
    table = pa.table({"at": pa.array(plain.tolist(), pa.timestamp("us", tz="Europe/Paris"), from_pandas=True)})
    for found in (*from_pandas(pd.DataFrame({"a": plain, "b": ours})).values(), from_arrow(table)["at"]):
        counts = count_times(found)
        assert (counts.hours[3], counts.hours[22], counts.hours[23], counts.missing) == (1, 1, 1, 1)


def test_moments_that_come_as_texts_are_read() -> None:
    texts = pd.DataFrame({"at": ["2013-01-07T05:30:00", None, "2013-01-07T05:45:00"]})
    found = make_reference(from_pandas(texts), {"at": "datetime"}).profile.columns["at"]
    assert isinstance(found, TimeCounts)
    assert (found.hours[5], found.missing) == (2, 1)


@pytest.mark.parametrize("dtype", ["boolean", object, arrow(pa.bool_())])
def test_truth_values_that_miss_some_keep_their_names(dtype: Any) -> None:
    found = from_pandas(pd.DataFrame({"open": pd.Series([True, None, False, True], dtype=dtype)}))["open"]
    assert level_counts(found) == ({"true": 2, "false": 1}, 1)


def test_values_that_are_not_all_texts_stay_as_they_are() -> None:
    frame = pd.DataFrame({"mixed": pd.Series(["a", 1, pd.NA], dtype=object), "lists": [[1], None, [2]]})
    found = from_pandas(frame)
    assert found["mixed"].tolist() == ["a", 1, None]
    assert found["lists"].tolist() == [[1], None, [2]]


def test_an_arrow_table_counts_as_the_frame_does() -> None:
    frame = pd.DataFrame(
        {"origin": WORDS, "delay": [1.5, None, 2.5, 2.0], "hour": [1, 2, 3, 4], "open": [True, None, False, True]}
    )
    types: dict[str, ColumnType] = {"origin": "category", "delay": "number", "hour": "integer", "open": "boolean"}
    table = pa.Table.from_pandas(frame)
    reference = make_reference(from_pandas(frame), types, list(types))
    assert make_reference(from_arrow(table), types, list(types)).to_json() == reference.to_json()
    assert make_reference(from_arrow(table.to_batches()[0]), types, list(types)).to_json() == reference.to_json()


def test_chunks_with_dictionaries_of_their_own_are_one_column() -> None:
    parts = [pa.array(["LGA", None]).dictionary_encode(), pa.array(["JFK", "LGA"]).dictionary_encode()]
    found = from_arrow(pa.table({"origin": pa.chunked_array(parts)}))["origin"]
    assert level_counts(found) == ({"LGA": 2, "JFK": 1}, 1)


def test_two_columns_of_one_name_are_refused_by_name() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["delay", "delay"])
    with pytest.raises(InputError, match="delay"):
        from_pandas(frame)
    with pytest.raises(InputError, match="delay"):
        from_arrow(pa.table([[1], [2]], names=["delay", "delay"]))


def test_a_level_that_a_dictionary_names_twice_is_counted_once() -> None:
    twice = Encoded(codes=np.array([0, 1, 2, -1]), levels=["LGA", "JFK", "LGA"])
    assert level_counts(twice) == ({"LGA": 2, "JFK": 1}, 1)
    counts = count_levels(LevelCuts.of([("LGA", 5), ("JFK", 4)]), twice)
    assert isinstance(counts, LevelCounts)
    assert (counts.cells.tolist(), counts.unseen) == ([2, 1], 0)


def test_numbers_that_come_as_a_dictionary_of_texts_are_numbers() -> None:
    delay = Encoded(codes=np.array([0, 1, -1, 2]), levels=["1.5", "2", "late"])
    found = make_reference({"delay": delay, "late": [1, 2, 3, 4]}, {"delay": "number", "late": "number"}, ["delay"])
    counts = found.profile.columns["delay"]
    assert isinstance(counts, NumberCounts)
    assert (counts.finite, counts.missing, counts.invalid, counts.greatest) == (2, 1, 1, 2.0)
