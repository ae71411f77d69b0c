"""Hold a request's values to the model's signature: what the pipeline gets has its types, or the caller a reason.

Texts mean here what they meant in training: the same null words, trimming, true and false, and moments.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson

from passerelle.contracts.bundle import SignatureColumn
from passerelle.contracts.words import FALSE_WORDS, ISO_MOMENT, MAX_NUMBER, TRUE_WORDS, WHITE_SPACE
from training.serve.errors import RequestError, cut
from training.serve.request import Table

#: pandas' nanosecond range.
_FIRST, _LAST = 1678, 2261
#: From so many rows on, a column is checked as a whole first.
MIN_LONG: Final = 16
#: So many names are listed in a message.
MAX_NAMED: Final = 20
_ISO: Final = re.compile(ISO_MOMENT, re.ASCII)


def check_inputs(
    table: Table, inputs: Sequence[SignatureColumn], null_words: frozenset[str]
) -> tuple[dict[str, list[Any]], list[str]]:
    """Return (checked columns by name, warnings).

    Columns that the model does not know are ignored with a warning; a category never seen in training is accepted.

    Raises RequestError naming field and row for a missing column, an empty cell where none is allowed, or a wrong type.
    """
    if table.rows == 0:
        raise RequestError(400, "no_rows", "the request has no row", "Send at least one row of values.")
    checked = {column.name: _check_column(table, column, inputs, null_words) for column in inputs}
    if len(table.columns) == len(checked) == len(table.columns.keys() & checked.keys()):
        return checked, []
    extra = sorted(table.columns.keys() - checked.keys())
    warning = cut(f"ignored, as the model does not use them: {', '.join(extra[:MAX_NAMED])}")
    return checked, [warning] if extra else []


def _check_column(
    table: Table, column: SignatureColumn, inputs: Sequence[SignatureColumn], null_words: frozenset[str]
) -> list[Any]:
    if column.name not in table.columns:
        if column.nullable:
            return [None] * table.rows
        raise _missing_column(table, column, inputs)
    return read_column(table.columns[column.name], column, null_words, lenient=table.lenient)


def read_column(
    values: Sequence[Any], column: SignatureColumn, null_words: frozenset[str], *, lenient: bool
) -> list[Any]:
    """Return a column's checked values.

    Raises RequestError naming field and row.
    """
    whole = _whole_column(values, column, null_words, lenient) if len(values) >= MIN_LONG else None
    return _cell_by_cell(values, column, null_words, lenient) if whole is None else whole


def _cell_by_cell(
    values: Sequence[Any], column: SignatureColumn, null_words: frozenset[str], lenient: bool
) -> list[Any]:
    read = _READERS[column.type]
    checked: list[Any] = []
    for row, value in enumerate(values):
        if isinstance(value, str):
            value = value.strip(WHITE_SPACE)
            if value in null_words:
                value = None
        if value is None:
            if not column.nullable:
                raise _null(column, row)
            checked.append(None)
            continue
        try:
            checked.append(read(value, lenient))
        except (ValueError, TypeError, OverflowError) as error:
            words, remedy = _EXPECTED[column.type]
            message = f"column {column.name!r} must be {words}, not {_shown(value)}"
            raise RequestError(400, "wrong_type", message, remedy, field=column.name, row=row) from error
    return checked


def _whole_column(
    values: Sequence[Any], column: SignatureColumn, null_words: frozenset[str], lenient: bool
) -> list[Any] | None:
    """Return a long column read at once; None when something in it is not as it should be, or has to be looked at."""
    kinds = set(map(type, values))
    if column.type in ("integer", "number") and kinds <= {int, float}:
        return _plain_numbers(values, column.type)
    if not kinds <= {str, type(None)}:
        return None
    if lenient and kinds == {str} and column.type in ("integer", "number"):
        numbers = _json_numbers(values, column)
        if numbers is not None:
            return numbers
    distinct = dict.fromkeys(values)
    if column.type in ("integer", "number") and len(distinct) > len(values) // 2:
        return None
    try:  # what stands in it again and again is read once
        cells = _cell_by_cell(list(distinct), column, null_words, lenient)
    except RequestError:
        return None  # of which row, the next look at it says
    return list(map(dict(zip(distinct, cells, strict=True)).__getitem__, values))


def _json_numbers(values: Sequence[str], column: SignatureColumn) -> list[Any] | None:
    """Return texts that JSON would have for numbers, and gaps where there may be some; None when any is another.

    Compiled code reads all at once, as exactly as float() does.
    """
    text = ",".join(values)
    if "n" in text:  # null, nan: whether they mean a gap is the project's to say
        return None
    gaps = column.nullable and "" in values
    try:
        numbers = orjson.loads(f"[{','.join([value or 'null' for value in values]) if gaps else text}]")
    except orjson.JSONDecodeError:
        return None
    if len(numbers) != len(values) or not set(map(type, numbers)) <= {int, float, type(None)}:
        return None
    known = [number for number in numbers if number is not None] if gaps else numbers
    checked = _plain_numbers(known, column.type)
    if checked is None or not gaps:
        return checked
    filled = iter(checked)
    return [None if number is None else next(filled) for number in numbers]


def _plain_numbers(values: Sequence[Any], kind: str) -> list[Any] | None:
    """Return numbers that are all as they should be; None when each has to be looked at."""
    try:
        numbers = np.array(list(map(float, values)))
    except (ValueError, OverflowError):
        return None
    good = np.abs(numbers) <= MAX_NUMBER
    if kind == "integer":
        good &= (np.abs(numbers) < 2**53) & (numbers == np.floor(numbers))
    return list(numbers.tolist()) if good.all() else None


def _null(column: SignatureColumn, row: int) -> RequestError:
    message = f"column {column.name!r} must not be empty"
    return RequestError(
        400, "null", message, "Give every row a value: this column had no gaps in training.", field=column.name, row=row
    )


def _missing_column(table: Table, column: SignatureColumn, inputs: Sequence[SignatureColumn]) -> RequestError:
    needed = [other.name for other in inputs if not other.nullable and other.name not in table.columns]
    message = f"column {column.name!r} is missing"
    if len(needed) > 1:
        message += f"; so are {', '.join(map(repr, needed[1 : MAX_NAMED + 1]))}"
    known = {other.name for other in inputs}
    similar = difflib.get_close_matches(column.name, [name for name in table.columns if name not in known], n=1)
    remedy = (
        f"Rename {similar[0]!r} to {column.name!r}."
        if similar
        else "Send every column of the model's signature; GET /openapi.json lists them."
    )
    return RequestError(400, "missing_column", message, remedy, field=column.name)


def _shown(value: Any) -> str:
    text = type(value).__name__ if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(value: Any, lenient: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | (str if lenient else int)):
        raise TypeError(type(value).__name__)
    if isinstance(value, str) and (
        "_" in value or not value.isascii()
    ):  # float() reads 1_000, and every script's digits
        raise ValueError("not digits")
    number = float(value)
    # Forests compute in single precision: what does not fit it would be an infinity to them.
    if not math.isfinite(number) or abs(number) > MAX_NUMBER:
        raise ValueError("not finite")
    return number


def _integer(value: Any, lenient: bool) -> float:
    number = _number(value, lenient)
    if number != math.floor(number) or abs(number) >= 2**63:
        raise ValueError("not whole")
    # A greater float may stand for another number than was meant; digits do not.
    if abs(number) >= 2**53 and not (
        isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdigit())
    ):
        raise ValueError("not exact")
    return number


def _boolean(value: Any, lenient: bool) -> float:
    if lenient and isinstance(value, str):
        word = value.lower()
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return float(word in TRUE_WORDS)
    if not isinstance(value, bool):
        raise TypeError(type(value).__name__)
    return float(value)


def _text(value: Any, lenient: bool) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    value.encode("utf-8")  # a lone surrogate is not text
    return value


def _moment(value: Any, lenient: bool) -> str:
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        raise TypeError(type(value).__name__)
    moment = datetime.fromisoformat(value)
    if not _FIRST <= moment.year <= _LAST:
        raise ValueError("out of range")
    return value


_READERS: Final[dict[str, Callable[[Any, bool], Any]]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "category": _text,
    "text": _text,
    "datetime": _moment,
}
#: What a cell must be, in words, and what to do when it is not.
_EXPECTED: Final = {
    "integer": ("a whole number", "Send a JSON number without decimals, no text; null where it is unknown."),
    "number": ("a finite number", "Send a JSON number, no text; null where it is unknown."),
    "boolean": ("true or false", "Send true or false (JSON), or true/false, yes/no, 1/0 (CSV)."),
    "category": ("a text", "Send it in quotes, as it was written in the training data."),
    "text": ("a text", "Send it in quotes."),
    "datetime": (
        "an ISO 8601 date and time",
        "Write it as 2013-01-31T10:00:00Z (pandas: to_json(date_format='iso')), years 1678 to 2261.",
    ),
}
