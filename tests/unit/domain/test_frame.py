"""A typed frame becomes plain values and back without losing anything."""

from __future__ import annotations

import pandas as pd

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.candidates.frame import plain_columns, typed_frame

INPUTS = (
    SignatureColumn(name="count", type="integer", nullable=True),
    SignatureColumn(name="word", type="category", nullable=True),
    SignatureColumn(name="moment", type="datetime", nullable=True),
)
COLUMNS = {
    "count": [1.0, None, 2.5],
    "word": ["a", None, "NaT"],
    "moment": ["2013-01-01T05:00:00Z", None, "2013-01-01T05:00:00.000000001Z"],
}


def test_plain_values_of_a_frame_make_the_same_frame_again() -> None:
    frame = typed_frame(COLUMNS, INPUTS)
    pd.testing.assert_frame_equal(typed_frame(plain_columns(frame), INPUTS), frame)


def test_columns_read_from_a_file_make_the_frame_that_their_values_make() -> None:
    columns = {"count": [1, 2, 3], "word": ["a", None, "NaT"], "moment": COLUMNS["moment"]}
    read = {name: pd.Series(values) for name, values in columns.items()}
    pd.testing.assert_frame_equal(typed_frame(read, INPUTS), typed_frame(columns, INPUTS))  # type: ignore[arg-type]


def test_missing_cells_are_null_and_whole_seconds_are_written_short() -> None:
    plain = plain_columns(typed_frame({name: values[:2] for name, values in COLUMNS.items()}, INPUTS))
    assert plain == {"count": [1.0, None], "word": ["a", None], "moment": ["2013-01-01T05:00:00Z", None]}
