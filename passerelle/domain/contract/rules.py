"""The data contract as Ibis expressions over a table of texts.

Every declared column of the input is text, trimmed, NULL where the file says so. Each rule gives a condition under
which a cell is bad; a row with a bad cell goes to quarantine with the rule's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from passerelle.domain.project import Column

TRUE_WORDS: Final = ("true", "t", "yes", "y", "1")
FALSE_WORDS: Final = ("false", "f", "no", "n", "0")
IBIS_TYPES: Final = {
    "integer": "int64",
    "number": "float64",
    "boolean": "boolean",
    "category": "string",
    "text": "string",
    "datetime": "timestamp",
}


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
        # "15.0" is how pandas writes an integer column with gaps.
        number = text.try_cast("float64")
        whole = ibis.and_(_finite(number), number == number.floor(), number.abs() < 2**53)
        return whole.ifelse(number, ibis.null("float64")).try_cast("int64")
    if column.type == "number":
        number = text.try_cast("float64")
        return _finite(number).ifelse(number, ibis.null("float64"))
    if column.type == "boolean":
        word = text.lower()
        return ibis.cases((word.isin(TRUE_WORDS), True), (word.isin(FALSE_WORDS), False), else_=ibis.null("boolean"))
    if column.type == "datetime":
        # Only ISO 8601: a date in another order must not be guessed.
        iso = text.re_search(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$")
        return iso.ifelse(text, ibis.null("string")).try_cast("timestamp")
    return text


def _finite(number: Any) -> Any:
    return ibis.and_(number.notnull(), ~number.isnan(), ~number.isinf())


def cell_rules(column: Column, text: Any) -> Iterator[CellRule]:
    """Yield the rules that a column declares, over its text expression."""
    value = typed(column, text)
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
        bad = ibis.and_(text.notnull(), ~text.re_search(f"^(?:{column.pattern})$"))
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
    "integer": "Write digits only: no thousands separator, unit or decimals.",
    "number": "Write it with a decimal point, without thousands separator or unit; leave gaps empty.",
    "boolean": "Write true or false.",
    "datetime": "Write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, with Z or an offset.",
}
_RANGE_REMEDY: Final = "Correct the value, or the range in the contract."


def clean(table: ir.Table, names: list[str], null_values: tuple[str, ...]) -> ir.Table:
    """Trim the named text columns and make the contract's null words NULL; other columns pass."""
    empties = [word for word in null_values if word != ""]
    changed = {}
    for name in names:
        text = table[name].strip()
        changed[name] = ibis.cases((text.isin(["", *empties]), ibis.null("string")), else_=text)
    return table.mutate(**changed)
