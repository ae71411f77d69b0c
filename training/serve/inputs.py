"""Hold a request's values to the model's signature: what the pipeline gets has its types, or the caller a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from passerelle.contracts.bundle import SignatureColumn
from training.serve.errors import RequestError
from training.serve.request import Table

#: pandas' nanosecond range.
_FIRST, _LAST = 1678, 2261
#: The greatest single-precision number.
MAX_NUMBER: Final = 3.4028234663852886e38
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def check_inputs(table: Table, inputs: Sequence[SignatureColumn]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return (checked columns by name, warnings).

    Columns that the model does not know are ignored with a warning; a category never seen in training is accepted.

    Raises RequestError naming field and row for a missing column, an empty cell where none is allowed, or a wrong type.
    """
    if table.rows == 0:
        raise RequestError(400, "no_rows", "the request has no row")
    checked = {column.name: _check_column(table, column) for column in inputs}
    extra = sorted(set(table.columns) - checked.keys())
    return checked, [f"ignored, as the model does not use them: {', '.join(extra[:20])}"] if extra else []


def _check_column(table: Table, column: SignatureColumn) -> list[Any]:
    if column.name not in table.columns:
        if column.nullable:
            return [None] * table.rows
        raise RequestError(400, "missing_column", f"column {column.name!r} is missing", field=column.name)
    read = _READERS[column.type]
    values: list[Any] = []
    for row, value in enumerate(table.columns[column.name]):
        if value is None or (table.lenient and value.strip() in ("", "NA", "NaN", "nan", "null", "NULL")):
            if not column.nullable:
                raise RequestError(400, "null", f"column {column.name!r} must not be empty", field=column.name, row=row)
            values.append(None)
            continue
        try:
            values.append(read(value.strip() if table.lenient else value, table.lenient))
        except (ValueError, TypeError, OverflowError) as error:
            message = f"column {column.name!r} must be {_WORDS[column.type]}, not {_shown(value)}"
            raise RequestError(400, "wrong_type", message, field=column.name, row=row) from error
    return values


def _shown(value: Any) -> str:
    text = type(value).__name__ if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(value: Any, lenient: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | (str if lenient else int)):
        raise TypeError(type(value).__name__)
    number = float(value)
    # Forests compute in single precision: what does not fit it would be an infinity to them.
    if not math.isfinite(number) or abs(number) > MAX_NUMBER:
        raise ValueError("not finite")
    return number


def _integer(value: Any, lenient: bool) -> float:
    number = _number(value, lenient)
    if number != math.floor(number):
        raise ValueError("not whole")
    return number


def _boolean(value: Any, lenient: bool) -> float:
    if lenient and isinstance(value, str):
        word = value.lower()
        if word in _TRUE + _FALSE:
            return float(word in _TRUE)
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
_WORDS: Final = {
    "integer": "a whole number",
    "number": "a finite number",
    "boolean": "true or false",
    "category": "a text",
    "text": "a text",
    "datetime": "an ISO 8601 date and time",
}
