"""A text means in a request what it meant in the training data: DuckDB's reading of it and the server's agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import ibis
import pandas as pd
import pytest

from passerelle.contracts.bundle import BundleSignature, ColumnType, SignatureColumn
from passerelle.domain.contract.rules import read_cells
from passerelle.domain.project import Column
from passerelle.domain.project.model import Data
from training.serve.errors import RequestError
from training.serve.inputs import check_inputs
from training.serve.request import Table

NULLS = ("", "NA", "N/A", "NULL", "null", "NaN", "nan", " NA ", "\tnull\n", "   ")
TEXTS = ("na", "None", "n/a", "NAN", "UA", " UA ", "\xa0UA", "'NA'", "été", "-", "?")
NUMBERS = ("12", " 12 ", "+5", "5.", ".5", "1e3", "1E-3", "15.0", "-0", "1_000", "１２", "0x10", "inf", "-Infinity",
           "1,000", "1e400", "5\xa0", "9007199254740993", "9223372036854775808", "1e17", "12.5", "--1", "1d")  # fmt: skip
BOOLEANS = ("true", "TRUE", "t", "Yes", "y", "1", "false", "F", "no", "N", "0", "2", "on", "1.0")
MOMENTS = ("2013-01-31", "2013-01-31T10:00", "2013-01-31 10:00:00", "2013-01-31T10:00:00Z", "2013-01-31T10:00:00+02",
           "2013-01-31T10:00:00-0530", "2013-01-31T10:00:00.123456Z", "31/01/2013", "2013-02-30", "2013-1-1",
           "2013-01-31T25:00:00", "2013-01-31T10:00:00+15:00", "1359590400000")  # fmt: skip
WORDS = (*NULLS, *TEXTS, *NUMBERS, *BOOLEANS, *MOMENTS)
TYPES: tuple[ColumnType, ...] = ("integer", "number", "boolean", "category", "datetime")
REFUSED = "wrong_type"


def read_in_training(words: tuple[str, ...], kind: ColumnType) -> list[Any]:
    """Return what the data contract makes of each text: its value, None for a missing one, or REFUSED."""
    texts = ibis.memtable({"text": list(words), "place": list(range(len(words)))})
    column = Column(name="text", type=kind, nullable=True)
    read, (cell,) = read_cells(texts, [column], Data.model_fields["null_values"].default, lambda layer: layer)
    table = read.select(place=read.place, missing=cell.missing, value=cell.value).order_by("place")
    rows = ibis.duckdb.from_connection(duckdb.connect()).to_pyarrow(table).to_pylist()
    return [None if row["missing"] else REFUSED if row["value"] is None else row["value"] for row in rows]


def read_in_serving(word: str, kind: ColumnType, *, lenient: bool) -> Any:
    """Return what the server makes of a text in a CSV (`lenient`) or in JSON."""
    column = SignatureColumn(name="text", type=kind, nullable=True)
    nulls = frozenset(BundleSignature(task="binary", inputs=(column,)).null_values)
    try:
        columns, _ = check_inputs(Table({"text": [word]}, 1, lenient=lenient), (column,), nulls)
    except RequestError as error:
        return error.code
    return columns["text"][0]


def comparable(value: Any, kind: ColumnType) -> Any:
    if value is None or value == REFUSED:
        return value
    if kind == "datetime":
        moment = pd.Timestamp(value)
        return moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)
    return value if kind == "category" else float(value)


@pytest.mark.parametrize("kind", TYPES)
def test_a_csv_cell_means_to_the_server_what_it_meant_to_the_data_contract(kind: ColumnType) -> None:
    trained = [comparable(value, kind) for value in read_in_training(WORDS, kind)]
    served = [comparable(read_in_serving(word, kind, lenient=True), kind) for word in WORDS]
    assert dict(zip(WORDS, served, strict=True)) == dict(zip(WORDS, trained, strict=True))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("word", NULLS)
def test_a_null_word_in_json_is_a_missing_value_too(word: str, kind: ColumnType) -> None:
    assert read_in_serving(word, kind, lenient=False) is None


@pytest.mark.parametrize("word", TEXTS)
def test_a_text_in_json_is_trimmed_as_in_training_and_is_no_null_word(word: str) -> None:
    assert read_in_serving(word, "category", lenient=False) == read_in_training((word,), "category")[0]


def test_a_project_with_its_own_null_words_is_served_with_them() -> None:
    column = SignatureColumn(name="text", type="category", nullable=True)
    table = Table({"text": ["unknown", "NA"]}, 2)
    columns, _ = check_inputs(table, (column,), frozenset(("", "unknown")))
    assert columns["text"] == [None, "NA"]


def test_the_moment_of_the_reference_is_what_it_says() -> None:
    value = read_in_training(("2013-01-31T10:00:00+02",), "datetime")[0]
    assert comparable(value, "datetime") == datetime(2013, 1, 31, 8, tzinfo=UTC)
