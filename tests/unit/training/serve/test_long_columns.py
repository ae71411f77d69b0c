"""A long column that is read at once is what its cells are one by one, whatever stands in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.words import NULL_WORDS
from tests.unit.training.serve.test_same_meaning import NUMBERS, WORDS
from training.serve.errors import RequestError
from training.serve.inputs import MIN_LONG, _json_numbers, read_column

NULLS = frozenset(NULL_WORDS)
PLAIN = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map("{:.3f}".format), st.sampled_from(("", "0", "-0", "1e5", " 7 ")),
)  # fmt: skip
ODD = st.one_of(
    st.sampled_from((*NUMBERS, *WORDS, "[1", "2]", "{}", '"5"', "true", "1\n2", "0123")), st.text(max_size=4)
)


def one_by_one(column: SignatureColumn, cells: list[str]) -> Any:
    """Return each cell's value as of a column of its own, or which cell was refused and why."""
    found = []
    for row, cell in enumerate(cells):
        try:
            found += read_column([cell], column, NULLS, lenient=True)
        except RequestError as error:
            return row, error.code
    return found


def at_once(column: SignatureColumn, cells: list[str]) -> Any:
    try:
        return read_column(cells, column, NULLS, lenient=True)
    except RequestError as error:
        return error.row, error.code


@settings(max_examples=300, deadline=None)
@given(
    cells=st.one_of(
        st.lists(PLAIN, min_size=MIN_LONG, max_size=40),
        st.lists(st.one_of(PLAIN, PLAIN, PLAIN, ODD), min_size=MIN_LONG, max_size=40),
    ),
    kind=st.sampled_from(("integer", "number")),
    nullable=st.booleans(),
)
def test_numbers_of_a_long_csv_column_are_those_of_its_cells(cells: list[str], kind: Any, nullable: bool) -> None:
    column = SignatureColumn(name="x", type=kind, nullable=nullable)
    assert at_once(column, cells) == one_by_one(column, cells)


@pytest.mark.parametrize("nullable", [False, True])
def test_numbers_are_read_by_compiled_code_and_gaps_only_where_they_may_be(nullable: bool) -> None:
    column = SignatureColumn(name="x", type="number", nullable=nullable)
    cells = ["1", "2.5", "-3e2", "0.1"] * 5
    assert _json_numbers(cells, column) == [1.0, 2.5, -300.0, 0.1] * 5
    assert _json_numbers([*cells, ""], column) == ([*[1.0, 2.5, -300.0, 0.1] * 5, None] if nullable else None)
    for odd in ("null", "nan", "[1", "true", "1,2", "007", '"1"', str(10**400)):
        assert _json_numbers([*cells, odd], column) is None, odd
    assert all(math.isfinite(number) for number in _json_numbers(cells, column) or ())
