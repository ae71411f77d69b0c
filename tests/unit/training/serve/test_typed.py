"""The decoder made for a signature says what the reader of all forms says, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.contracts.bundle import SignatureColumn
from training.serve.errors import RequestError
from training.serve.inputs import check_inputs
from training.serve.request import JSON, read_body
from training.serve.typed import Checked, TypedReader

INPUTS = (
    SignatureColumn(name="hour", type="integer"),
    SignatureColumn(name="air time", type="number", nullable=True),
    SignatureColumn(name="held", type="boolean"),
    SignatureColumn(name="carrier", type="category", nullable=True),
    SignatureColumn(name="at", type="datetime"),
)
NULLS = frozenset(("", "NA"))
READER = TypedReader(INPUTS, NULLS)
ROW: dict[str, Any] = {"hour": 5, "air time": None, "held": True, "carrier": " UA ", "at": "2013-01-01T05:15:00Z"}
NAMES = list(ROW)


def general(body: bytes) -> Checked | str:
    """Return what the reader of all forms makes of a request: its columns, or what it refuses or warns of."""
    try:
        table = read_body(body, JSON, INPUTS)
        columns, warnings = check_inputs(table, INPUTS, NULLS)
    except RequestError as error:
        return error.code
    return "warned" if warnings else Checked(columns, table.rows, table.explain)


def records(*rows: Any, **more: Any) -> bytes:
    return json.dumps({"dataframe_records": list(rows), **more}).encode()


def split(*rows: Any, columns: Any = NAMES, **more: Any) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": list(rows)}, **more}).encode()


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**64), 2**64), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "NA", " NA\t", "UA", "a\"b", "été", "\ud800", "2013-01-01", "2013-01-01T05:15:00Z", "1600-01-01",
                     "2013-02-30", "12", "true"]),
    st.text(max_size=5), st.lists(st.integers(), max_size=2),
)  # fmt: skip
GOOD = {
    "hour": st.integers(-(2**53), 2**53),
    "air time": st.one_of(st.none(), st.integers(-(10**40), 10**40), st.floats(allow_nan=False, allow_infinity=False)),
    "held": st.booleans(),
    "carrier": st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["NA", " UA"])),
    "at": st.datetimes().map(lambda moment: moment.isoformat()),
}
ROWS = st.one_of(st.fixed_dictionaries(GOOD), st.fixed_dictionaries(dict.fromkeys(NAMES, CELLS)))


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(ROWS, max_size=3), times=st.sampled_from([1, 1, 1, 20]), ascii_only=st.booleans())
def test_what_it_reads_is_what_the_reader_of_all_forms_reads(
    rows: list[dict[str, Any]], times: int, ascii_only: bool
) -> None:
    table = {"columns": NAMES, "data": [list(row.values()) for row in rows * times]}
    for document in ({"dataframe_records": rows * times}, {"dataframe_split": table}):
        text = json.dumps(document, ensure_ascii=ascii_only)
        body = text.encode("utf-8", "surrogatepass")
        assert READER.read(body) in (None, general(body))


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("explain", [{}, {"explain": True}, {"explain": False}])
def test_the_usual_request_is_read_by_it(count: int, explain: dict[str, bool]) -> None:
    rows = [{**ROW, "hour": hour, "carrier": None if hour % 3 else f"C{hour}"} for hour in range(count)]
    for body in (records(*rows, **explain), split(*map(list, map(dict.values, rows)), **explain)):
        read = READER.read(body)
        assert read is not None
        assert read == general(body)
        assert read.explain is explain.get("explain", False)


def test_texts_are_trimmed_and_null_words_are_missing() -> None:
    read = READER.read(records(ROW, {**ROW, "carrier": " NA"}))
    assert read is not None
    assert read.columns["carrier"] == ["UA", None]


@pytest.mark.parametrize(
    "body",
    [
        records(ROW).replace(b'"hour": 5', b'"hour": 4, "hour": 5'),
        records(ROW).replace(b'"hour": 5', b'"hour" : 4, "hour": 5'),
        split(list(ROW.values())).replace(b'"data": [', b'"data": [], "data": ['),
        records({**ROW, "more": 1}),
        records({name: value for name, value in ROW.items() if name != "carrier"}),
        records({**ROW, "hour": "5"}),
        records({**ROW, "hour": 2**53}),
        records({**ROW, "air time": 1e39}),
        records({**ROW, "held": 1}),
        records({**ROW, "at": "01/02/2013"}),
        records({**ROW, "at": "NA"}),
        records({**ROW, "carrier": "\ud800"}),
        records(),
        split(list(ROW.values()), columns=NAMES[::-1]),
        split([1]),
        b'{"dataframe_records": [%s], "dataframe_split": {"columns": [], "data": []}}' % json.dumps(ROW).encode(),
        b"\xef\xbb\xbf" + records(ROW),
        b"[" * 100_000,
        b"",
    ],
)
def test_of_any_other_request_it_says_nothing(body: bytes) -> None:
    assert READER.read(body) is None


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "two\nlines", "\x00"])
def test_names_that_json_escapes_are_left_to_the_reader_of_all_forms(name: str) -> None:
    inputs = (SignatureColumn(name=name, type="integer"), SignatureColumn(name="hour", type="integer"))
    body = json.dumps({"dataframe_records": [{name: 1, "hour": 2}]}).encode()
    assert TypedReader(inputs, NULLS).read(body) is None


@pytest.mark.parametrize("name", ["é", "c0", "class", "a b", "1", "", "self", "\u2028", "x" * 500])
def test_any_other_name_is_read(name: str) -> None:
    inputs = tuple(SignatureColumn(name=given, type="integer") for given in ("hour", "c1", name))
    body = json.dumps({"dataframe_records": [{"c1": 1, name: 2, "hour": 3}]}).encode()
    read = TypedReader(inputs, NULLS).read(body)
    assert read is not None
    assert read.columns == {"hour": [3.0], "c1": [1.0], name: [2.0]}
