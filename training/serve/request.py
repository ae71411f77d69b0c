"""Read a request's body into columns of plain values; everything that is wrong is named with field and row.

Forms: application/json with one of dataframe_split, dataframe_records, instances, inputs (MLflow's, TensorFlow
Serving's); application/jsonlines with an object a line; text/csv with or without a header.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from passerelle.contracts.bundle import SignatureColumn
from training.serve.errors import RequestError

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
#: SageMaker's limit for a real-time endpoint (InvokeEndpoint: Body, 6,291,456 bytes).
MAX_BYTES: Final = 6_291_456
#: So many unknown columns are named in the warning.
MAX_EXTRA: Final = 20


@dataclass(frozen=True)
class Table:
    """Columns by name, each of `rows` values; `lenient` when values are texts (CSV), to be read as numbers."""

    columns: Mapping[str, Sequence[Any]]
    rows: int
    lenient: bool = False


def read_body(body: bytes, content_type: str, inputs: Sequence[SignatureColumn]) -> Table:
    """Return the request's columns.

    Raises RequestError with status 413, 415 or 400.
    """
    if len(body) > MAX_BYTES:
        raise RequestError(413, "too_large", f"the body has {len(body):,} bytes; the limit is {MAX_BYTES:,}")
    kind = content_type.partition(";")[0].strip().lower()
    names = [column.name for column in inputs]
    if kind in ("application/json", ""):
        return _read_json(_decode_json(body), names)
    if kind in ("application/jsonlines", "application/x-ndjson"):
        lines = [line for line in body.splitlines() if line.strip()]
        return _from_records([_decode_json(line, row=row) for row, line in enumerate(lines)], names, "rows")
    if kind == "text/csv":
        return _read_csv(body, names)
    raise RequestError(
        415,
        "unsupported_content_type",
        f"{kind!r} is not read; use application/json, application/jsonlines or text/csv",
    )


def _decode_json(body: bytes, row: int | None = None) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise RequestError(400, "too_deep", "the JSON is nested too deep", row=row) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, "not_json", f"the body is not JSON: {error}", row=row) from error


def _read_json(document: Any, names: list[str]) -> Table:
    if not isinstance(document, dict):
        raise RequestError(400, "wrong_form", f"the body must be an object with one of {', '.join(FORMS)}")
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        found = ", ".join(given) or "none"
        raise RequestError(400, "wrong_form", f"give exactly one of {', '.join(FORMS)}; found {found}")
    value = document[given[0]]
    if given[0] == "dataframe_split":
        return _from_split(value)
    if given[0] == "inputs" and isinstance(value, dict):
        return _from_columns(value)
    if not isinstance(value, list):
        raise RequestError(400, "wrong_form", f"{given[0]} must be a list of rows")
    if value and isinstance(value[0], list):
        return _from_rows(value, names, given[0])
    return _from_records(value, names, given[0])


def _from_split(value: Any) -> Table:
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("columns"), list)
        or not isinstance(value.get("data"), list)
    ):
        raise RequestError(400, "wrong_form", "dataframe_split must have the lists `columns` and `data`")
    names = value["columns"]
    if not all(isinstance(name, str) for name in names):
        raise RequestError(400, "wrong_form", "the names in dataframe_split.columns must be texts")
    if len(set(names)) != len(names):
        raise RequestError(400, "duplicate_column", "dataframe_split.columns names a column twice")
    return _from_rows(value["data"], names, "dataframe_split.data")


def _from_rows(rows: list[Any], names: list[str], form: str) -> Table:
    for index, row in enumerate(rows):
        if not isinstance(row, list):
            raise RequestError(400, "wrong_form", f"{form} must be a list of lists", row=index)
        if len(row) != len(names):
            raise RequestError(400, "ragged_row", f"the row has {len(row)} values; {len(names)} are needed", row=index)
    return Table(dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}, len(rows))


def _from_records(records: list[Any], names: list[str], form: str) -> Table:
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise RequestError(400, "wrong_form", f"{form} must hold objects of column: value", row=index)
    # Only the model's columns are collected: a body of many different keys must not cost rows times keys.
    present = {name for record in records for name in record}
    columns: dict[str, Any] = {name: [record.get(name) for record in records] for name in names if name in present}
    extra = sorted(present - columns.keys())[:MAX_EXTRA]
    return Table(columns | dict.fromkeys(extra, ()), len(records))


def _from_columns(columns: dict[str, Any]) -> Table:
    lengths = set()
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError(400, "wrong_form", "inputs must hold a list of values per column", field=name)
        lengths.add(len(values))
    if len(lengths) > 1:
        raise RequestError(400, "ragged_row", f"the columns of inputs have different lengths: {sorted(lengths)}")
    return Table(columns, lengths.pop() if lengths else 0)


def _read_csv(body: bytes, names: list[str]) -> Table:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, "not_utf8", f"the CSV is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        raise RequestError(400, "not_csv", f"the CSV cannot be read: {error}") from error
    # A header names several columns (or the only one): one cell that happens to be a name is no header.
    named = set(names) & {name.strip() for name in rows[0]} if rows else set()
    if len(named) >= min(2, len(names)):
        names, rows = [name.strip() for name in rows[0]], rows[1:]
        if len(set(names)) != len(names):
            raise RequestError(400, "duplicate_column", "the CSV's header names a column twice")
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise RequestError(400, "ragged_row", f"the row has {len(row)} values; {len(names)} are needed", row=index)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return Table(columns, len(rows), lenient=True)
