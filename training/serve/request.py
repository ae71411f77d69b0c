"""Read a request's body into columns of plain values; everything that is wrong is named with field and row.

Forms: application/json with one of dataframe_split, dataframe_records, instances, inputs (MLflow's, TensorFlow
Serving's); application/jsonlines with an object or a list a line; text/csv with or without a header.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any, Final

import msgspec

from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.words import WHITE_SPACE
from training.serve.errors import RequestError

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
#: So many unknown columns are named in the warning.
MAX_EXTRA: Final = 20
JSON: Final = "application/json"
CSV: Final = "text/csv"
JSON_LINES: Final = ("application/jsonlines", "application/x-jsonlines", "application/x-ndjson")
_KINDS: Final = frozenset((JSON, CSV, *JSON_LINES))
_FORM_REMEDY: Final = 'Send {"dataframe_records": [{"column": value, …}, …]}; GET /openapi.json describes it.'
_NOT_FINITE: Final = re.compile(rb"[\[:,\s]-?(NaN|Infinity|inf|nan)\b")
_COMMAS: Final = methodcaller("count", ",")
_NAME_END: Final = re.compile(rb'"\s*:')


@dataclass(frozen=True)
class Table:
    """Columns by name, each of `rows` values; `lenient` when values are texts (CSV), to be read as numbers.

    `explain` says that the body asks for explanations.
    """

    columns: Mapping[str, Sequence[Any]]
    rows: int
    lenient: bool = False
    explain: bool = False


def read_body(body: bytes, content_type: str, inputs: Sequence[SignatureColumn], also: tuple[str, ...] = ()) -> Table:
    """Return the request's columns; those in `also` with their values, too, where a request names them.

    Raises RequestError with status 415 or 400.
    """
    kind, parameters = _parse_content_type(content_type)
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        message = f"the charset {charset!r} is not read"
        raise RequestError(415, "unsupported_charset", message, "Send the body in UTF-8.")
    if kind not in _KINDS:
        message = f"the content type {kind!r} is not read"
        raise RequestError(415, "unsupported_content_type", message, f"Use {', '.join(sorted(_KINDS))}.")
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise RequestError(400, "empty_body", "the request has no body", _FORM_REMEDY)
    names = [column.name for column in inputs]
    if kind == CSV:
        return read_csv(body, names, header=parameters.get("header"))
    if kind == JSON:
        document = _decode_json(body)
        table = _read_json(document, names, also)
        return replace(table, explain=True) if _explain(document) else table
    lines = [line for line in body.split(b"\n") if line.strip()]
    records = [_decode_json(line, row=row) for row, line in enumerate(lines)]
    return _from_records_or_rows(records, names, "rows", also)


def _parse_content_type(content_type: str) -> tuple[str, dict[str, str]]:
    kind, *parameters = content_type.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return kind.strip().lower() or JSON, {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _decode_json(body: bytes, row: int | None = None) -> Any:
    try:
        document = msgspec.json.decode(body)
    except RecursionError as error:
        raise RequestError(
            400, "too_deep", "the JSON is nested too deep", "Send a flat table: one value per cell.", row=row
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if _NOT_FINITE.search(body):
            message = "the body holds NaN or Infinity, which JSON does not have"
            raise RequestError(400, "not_json", message, "Send null where a number is unknown.", row=row) from error
        message = f"the body is not JSON: {error}"
        remedy = "Send one JSON document in UTF-8, or say in Content-Type what else it is."
        raise RequestError(400, "not_json", message, remedy, row=row) from error
    _refuse_repeated_names(body, document, row)
    return document


def _refuse_repeated_names(body: bytes, document: Any, row: int | None) -> None:
    """Refuse an object that names a column twice: the parser would keep the last silently.

    Every name is followed by a colon, so as many of them as there are names proves that none was lost.
    """
    if len(_NAME_END.findall(body)) == _count_names(document):
        return
    try:
        json.loads(body, object_pairs_hook=_unrepeated)
    except _RepeatedNameError as error:
        name = str(error)
        message = f"an object names {name!r} twice"
        raise RequestError(400, "duplicate_column", message, "Send each column once.", field=name, row=row) from None
    except (ValueError, RecursionError):
        return  # what the two parsers do not agree about is no question of names


def _count_names(document: Any) -> int:
    """Count the names of an object, of the objects in it, and of those in its lists: no form of a request is deeper."""
    if not isinstance(document, dict):
        return 0
    count = len(document)
    for value in document.values():
        if isinstance(value, dict):
            count += len(value)
        elif isinstance(value, list):
            count += sum(len(part) for part in value if isinstance(part, dict))
    return count


class _RepeatedNameError(Exception):
    """An object holds a name twice."""


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise _RepeatedNameError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return read


def _wrong_form(message: str, *, field: str | None = None, row: int | None = None) -> RequestError:
    return RequestError(400, "wrong_form", message, _FORM_REMEDY, field=field, row=row)


def _explain(document: dict[str, Any]) -> bool:
    wanted = document.get("explain", False)
    if not isinstance(wanted, bool):
        raise _wrong_form("explain must be true or false", field="explain")
    return wanted


def _read_json(document: Any, names: list[str], also: tuple[str, ...]) -> Table:
    if not isinstance(document, dict):
        raise _wrong_form(f"the body must be an object with one of {', '.join(FORMS)}")
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        found = ", ".join(given) or "none"
        raise _wrong_form(f"give exactly one of {', '.join(FORMS)}; found {found}")
    value = document[given[0]]
    if given[0] == "dataframe_split":
        return _from_split(value)
    if given[0] == "inputs" and isinstance(value, dict):
        return _from_columns(value)
    if not isinstance(value, list):
        raise _wrong_form(f"{given[0]} must be a list of rows")
    return _from_records_or_rows(value, names, given[0], also)


def _from_records_or_rows(rows: list[Any], names: list[str], form: str, also: tuple[str, ...]) -> Table:
    if rows and isinstance(rows[0], list):
        return _from_rows(rows, names, form)
    return _from_records(rows, [*names, *also], form)


def _from_split(value: Any) -> Table:
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("columns"), list)
        or not isinstance(value.get("data"), list)
    ):
        raise _wrong_form("dataframe_split must have the lists `columns` and `data`")
    names = value["columns"]
    if not all(isinstance(name, str) for name in names):
        raise _wrong_form("the names in dataframe_split.columns must be texts")
    _refuse_repeated(names, "dataframe_split.columns")
    return _from_rows(value["data"], names, "dataframe_split.data")


def _refuse_repeated(names: list[str], where: str) -> None:
    if len(set(names)) != len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        message = f"{where} names the column {name!r} twice"
        raise RequestError(400, "duplicate_column", message, "Send each column once.", field=name)


def _from_rows(rows: list[Any], names: list[str], form: str) -> Table:
    for index, row in enumerate(rows):
        if not isinstance(row, list):
            raise _wrong_form(f"{form} must be a list of lists", row=index)
        if len(row) != len(names):
            raise _ragged(row, names, index)
    return Table(dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}, len(rows))


def _ragged(row: Sequence[Any], names: list[str], index: int) -> RequestError:
    message = f"the row has {len(row)} values; {len(names)} are needed"
    shown = ", ".join(names[:MAX_EXTRA]) + (" …" if len(names) > MAX_EXTRA else "")
    return RequestError(400, "ragged_row", message, f"Send one value for each of {shown}.", row=index)


def _from_records(records: list[Any], names: list[str], form: str) -> Table:
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise _wrong_form(f"{form} must hold objects of column: value", row=index)
    # Only the model's columns are collected: a body of many different keys must not cost rows times keys.
    present = {name for record in records for name in record}
    columns: dict[str, Any] = {name: [record.get(name) for record in records] for name in names if name in present}
    extra = sorted(present - columns.keys())[:MAX_EXTRA]
    return Table(columns | dict.fromkeys(extra, ()), len(records))


def _from_columns(columns: dict[str, Any]) -> Table:
    lengths = set()
    for name, values in columns.items():
        if not isinstance(values, list):
            raise _wrong_form("inputs must hold a list of values per column", field=name)
        lengths.add(len(values))
    if len(lengths) > 1:
        message = f"the columns of inputs have different lengths: {sorted(lengths)[:5]}"
        raise RequestError(400, "ragged_row", message, "Send as many values in each column.")
    return Table(columns, lengths.pop() if lengths else 0)


def read_csv(body: bytes, names: list[str], *, header: str | None) -> Table:
    """Return the columns of a CSV.

    `header` is RFC 4180's parameter of text/csv: "present", "absent", or None to find out.

    Raises RequestError with status 400.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the CSV is not UTF-8: {error.reason} at byte {error.start}"
        raise RequestError(400, "not_utf8", message, "Save it as UTF-8.") from error
    if '"' in text or text.count("\r") != text.count("\r\n"):
        return _from_csv_rows(_quoted_lines(text), names, header)
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if set(map(_COMMAS, lines)) != {len(names) - 1}:
        return _from_csv_rows([line.split(",") for line in lines], names, header)
    given = _header_names(lines[0].split(","), names, header)
    if given:
        names, lines = given, lines[1:]
    cells = ",".join(lines).split(",") if lines else []
    return Table({name: cells[place :: len(names)] for place, name in enumerate(names)}, len(lines), lenient=True)


def _from_csv_rows(rows: list[list[str]], names: list[str], header: str | None) -> Table:
    given = _header_names(rows[0], names, header) if rows else None
    if given:
        names, rows = given, rows[1:]
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise _ragged(row, names, index)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return Table(columns, len(rows), lenient=True)


def _header_names(first: list[str], names: list[str], header: str | None) -> list[str] | None:
    """Return the names in a CSV's first line, None when it is a row."""
    if header != "present" and (header == "absent" or not _is_header(first, names)):
        return None
    given = [name.strip(WHITE_SPACE) for name in first]
    _refuse_repeated(given, "the CSV's header")
    return given


def _quoted_lines(text: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        remedy = "Separate fields by commas, close every quote, and double quotes inside quoted fields."
        raise RequestError(400, "not_csv", f"the CSV cannot be read: {error}", remedy) from error


def _is_header(row: list[str], names: list[str]) -> bool:
    """Tell a header: it names several columns (or the only one); one cell that happens to be a name is none."""
    return len(set(names) & {name.strip(WHITE_SPACE) for name in row}) >= min(2, len(names))
