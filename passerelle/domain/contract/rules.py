"""The data contract as Ibis expressions over a table of texts.

Every declared column of the input is text, trimmed, NULL where the file says so. Each rule gives a condition under
which a cell is bad; a row with a bad cell goes to quarantine with the rule's code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import ibis

from passerelle.contracts.words import FALSE_WORDS, ISO_MOMENT, TRUE_WORDS
from passerelle.domain.project import Column
from passerelle.domain.project.patterns import whole_match


@dataclass(frozen=True)
class CellRule:
    """One rule of one column: `bad` is true where the cell breaks it."""

    code: str
    column: str
    rule: str
    remedy: str
    bad: Any


def typed(column: Column, text: Any) -> Any:
    """Return the text as the column's type, NULL where it cannot be read as such. Nothing is rounded or guessed."""
    if column.type == "integer":
        return _integer(text)
    if column.type == "number":
        return _number(text)
    if column.type == "boolean":
        word = text.lower()
        return ibis.cases((word.isin(TRUE_WORDS), True), (word.isin(FALSE_WORDS), False), else_=ibis.null("boolean"))
    if column.type == "datetime":
        return _datetime(text)
    return text


def _number(text: Any) -> Any:
    """Return a finite number."""
    # DuckDB reads 1_000 as a number, which nobody's data means; to it NaN is greater than every number.
    number = text.try_cast("float64")
    return ibis.and_(number.abs() <= sys.float_info.max, ~text.contains("_")).ifelse(number, ibis.null("float64"))


def _integer(text: Any) -> Any:
    """Return a whole number of up to 64 bits, digit by digit where a float would round it."""
    # "15.0" is how pandas writes an integer column with gaps.
    number = _number(text)
    small = ibis.and_(number.abs() < 2**53, number == number.floor())
    digits = text.re_search(r"^[+-]?\d{16,19}$")
    return ibis.cases((small, number.try_cast("int64")), (digits, text.try_cast("int64")), else_=ibis.null("int64"))


def _datetime(text: Any) -> Any:
    """Return a moment in UTC. Only ISO 8601: a date in another order must not be guessed."""
    iso = text.re_search(f"^{ISO_MOMENT}$")
    rest = text.substr(16)
    # DuckDB reads an offset only after seconds, drops it from a TIMESTAMP, and has a year 0.
    whole = ibis.and_(text.length() > 16, ~rest.startswith(":")).ifelse(text.left(16) + ":00" + rest, text)
    shifted = rest.contains("+") | rest.contains("-")
    moment = shifted.ifelse(whole.try_cast("timestamp('UTC')").cast("timestamp"), whole.try_cast("timestamp"))
    return ibis.and_(iso, ~text.startswith("0000")).ifelse(moment, ibis.null("timestamp"))


def cell_rules(column: Column, text: Any, value: Any) -> Iterator[CellRule]:
    """Yield the rules that a column declares, over its cleaned text and that text's typed value."""
    if not column.nullable:
        yield _rule("null", column, "must not be empty", "Fill the cell, or set nullable: true.", text.isnull())
    unreadable = ibis.and_(text.notnull(), value.isnull())
    if column.type not in ("category", "text"):
        yield _rule("type", column, f"must be {_TYPE_WORDS[column.type]}", _TYPE_REMEDIES[column.type], unreadable)
    if column.min is not None:
        yield _rule("min", column, f"must be at least {column.min:g}", _RANGE_REMEDY, value < column.min)
    if column.max is not None:
        yield _rule("max", column, f"must be at most {column.max:g}", _RANGE_REMEDY, value > column.max)
    if column.allowed is not None:
        shown = ", ".join(map(str, column.allowed[:10])) + (" …" if len(column.allowed) > 10 else "")
        allowed = [_as_typed(column, item) for item in column.allowed]
        bad = ibis.and_(value.notnull(), value.notin(allowed))
        yield _rule("allowed", column, f"must be one of {shown}", "Correct the cell, or extend `allowed`.", bad)
    if column.max_length is not None:
        rule = f"must have at most {column.max_length} characters"
        yield _rule("max_length", column, rule, "Shorten it, or raise max_length.", text.length() > column.max_length)
    if column.pattern is not None:
        bad = ibis.and_(text.notnull(), ~text.re_search(whole_match(column.pattern)))
        yield _rule("pattern", column, f"must match {column.pattern}", "Correct the cell, or the pattern.", bad)


def _rule(code: str, column: Column, rule: str, remedy: str, bad: Any) -> CellRule:
    return CellRule(code=code, column=column.name, rule=rule, remedy=remedy, bad=bad.fill_null(False))


def _as_typed(column: Column, item: Any) -> Any:
    if column.type == "integer":
        return int(item)
    if column.type == "number":
        return float(item)
    return bool(item) if column.type == "boolean" else str(item)


_TYPE_WORDS: Final = {
    "integer": "a whole number",
    "number": "a finite number",
    "boolean": "true or false",
    "datetime": "an ISO 8601 date and time such as 2013-01-31T10:00:00Z",
}
_TYPE_REMEDIES: Final = {
    "integer": "Write digits only, at most 64 bits: no thousands separator, unit or decimals; longer ids: category.",
    "number": "Write it with a decimal point, without thousands separator or unit; leave gaps empty.",
    "boolean": "Write true or false.",
    "datetime": "Write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, with Z or an offset.",
}
_RANGE_REMEDY: Final = "Correct the value, or the range in the contract."


def cleaned(text: Any, null_values: tuple[str, ...]) -> Any:
    """Return a cell trimmed, NULL where it holds one of the contract's null words."""
    trimmed = text.strip()
    return trimmed.isin(["", *(word for word in null_values if word != "")]).ifelse(ibis.null("string"), trimmed)
