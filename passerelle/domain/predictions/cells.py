"""A cell of a request as the value that prepared data would have for it; what cannot be read as its type is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.contracts.bundle import ColumnType
from passerelle.contracts.words import FALSE_WORDS, ISO_MOMENT, TRUE_WORDS, WHITE_SPACE

Value = str | int | float | bool | datetime | None
_ISO: Final = re.compile(ISO_MOMENT, re.ASCII)
_DIGITS: Final = re.compile(r"[+-]?\d+", re.ASCII)
_GREATEST: Final = 2**63


def read_cell(value: Any, type_: ColumnType, null_words: Collection[str]) -> Value:
    """Return a cell's value: texts mean what they mean in training data (`contracts.words`)."""
    if isinstance(value, str):
        value = value.strip(WHITE_SPACE)
        if not value or value in null_words or not _is_unicode(value):
            return None
    if value is None or isinstance(value, dict | list):
        return None
    try:
        return _READERS[type_](value)
    except (ValueError, OverflowError):
        return None


def cell_text(value: Value) -> str:
    """Return a value as the datasets' `__entity` spells it: DuckDB's cast to a text, of a missing one nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ")
        return text.rstrip("0") if "." in text else text
    return "" if value is None else str(value)


def _is_unicode(text: str) -> bool:
    """Half a surrogate pair, which JSON's escapes can spell, is no character: no file could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        number = int(value)
    else:
        given = float(value)
        if given != math.floor(given):
            return None
        number = value if isinstance(value, int) else int(given)
    return number if -_GREATEST <= number < _GREATEST else None


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, float):  # as the server has it, and logs it
        return bool(value)
    word = str(value).lower()
    return word in TRUE_WORDS if word in TRUE_WORDS or word in FALSE_WORDS else None


def _datetime(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_READERS: Final[dict[ColumnType, Callable[[Any], Value]]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "category": str,
    "text": str,
    "datetime": _datetime,
}
