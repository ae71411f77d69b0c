"""The data contract as Ibis expressions over a table of texts.

Every declared column of the input is text, trimmed, NULL where the file says so. Each rule gives a condition under
which a cell is bad; a row with a bad cell goes to quarantine with the rule's code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis

from passerelle.contracts.words import FALSE_WORDS, ISO_MOMENT, TRUE_WORDS, WHITE_SPACE
from passerelle.domain.project import Column
from passerelle.domain.project.patterns import whole_match


@dataclass(frozen=True)
class CellRule:
    """One rule of one column: `bad` is true where the cell breaks it, and false or NULL elsewhere."""

    code: str
    column: str
    rule: str
    remedy: str
    bad: Any


@dataclass(frozen=True)
class Cell:
    """What a cell says: its text (which no rule of a number asks for), its value, and whether it is missing."""

    column: Column
    text: Any
    value: Any
    missing: Any


def read_cells(
    table: Any,
    columns: Sequence[Column],
    null_values: tuple[str, ...],
    layer: Callable[[Any], Any],
    typed: frozenset[str] = frozenset(),
) -> tuple[Any, list[Cell]]:
    """Return the table of texts with the columns' values, and the cells that rules are about.

    A text is read as the column's type, NULL where it cannot be read as such; nothing is rounded or guessed.

    Parameters
    ----------
    layer : closes a layer of the query, so that an expression names what it is made of and does not repeat it.
    typed : columns that the table has as their types already: texts trimmed, and NULL for a null word.
    """
    known = {i for i, column in enumerate(columns) if column.name in typed}
    asked = [(i, column) for i, column in enumerate(columns) if i not in known]
    readable = {i for i, column in asked if column.type in ("integer", "number", "datetime")}
    # No word without a digit reads as a number or a moment, nor does white space keep one from being read: such texts
    # need neither be trimmed nor compared with the words, which costs more than reading them.
    plain = set() if any(map(_has_digit, null_values)) else readable
    names = {i: column.name if i in plain | known else f"__t{i}" for i, column in enumerate(columns)}
    others = [(i, column.name) for i, column in asked if i not in plain]
    table = layer(table.mutate(**{f"__t{i}": trimmed(table[name]) for i, name in others}))
    table = layer(table.mutate(**{f"__t{i}": present(table[f"__t{i}"], null_values) for i, _ in others}))
    read = {i: _READ_AS[column.type] for i, column in asked if column.type in _READ_AS}
    table = layer(table.mutate(**{f"__n{i}": table[names[i]].try_cast(kind) for i, kind in read.items()}))
    values = {i: _typed(column, table, i, names[i]) for i, column in asked}
    values |= {i: _as_read(columns[i], table[names[i]]) for i in known}
    table = layer(table.mutate(**{f"__v{i}": value for i, value in values.items()}))
    table = layer(table.mutate(**{f"__m{i}": _missing(table[names[i]], table[f"__v{i}"], null_values) for i in plain}))
    return table, [
        Cell(column, None, table[f"__v{i}"], table[f"__m{i}"])
        if i in plain
        else Cell(column, table[names[i]], table[f"__v{i}"], table[names[i]].isnull())
        for i, column in enumerate(columns)
    ]


def _as_read(column: Column, value: Any) -> Any:
    """Return a value that has its type already."""
    return _within_range(value).ifelse(value, ibis.null("float64")) if column.type == "number" else value


_READ_AS: Final = {"integer": "int64", "number": "float64"}


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _typed(column: Column, table: Any, index: int, name: str) -> Any:
    text = table[name]
    if column.type == "integer":
        return _integer(text, table[f"__n{index}"])
    if column.type == "number":
        return _finite(text, table[f"__n{index}"])
    if column.type == "boolean":
        word = text.lower()
        return ibis.cases((word.isin(TRUE_WORDS), True), (word.isin(FALSE_WORDS), False), else_=ibis.null("boolean"))
    return _datetime(text) if column.type == "datetime" else text


def _missing(text: Any, value: Any, null_values: tuple[str, ...]) -> Any:
    """Return whether a cell is missing; the text is looked at only where it was not read."""
    return value.notnull().ifelse(ibis.literal(False), present(trimmed(text), null_values).isnull())


def _finite(text: Any, number: Any) -> Any:
    """Return a number that is finite."""
    # DuckDB reads 1_000 as a number, which nobody's data means.
    return ibis.and_(_within_range(number), ~text.contains("_")).ifelse(number, ibis.null("float64"))


def _within_range(number: Any) -> Any:
    return number.abs() <= sys.float_info.max  # to DuckDB NaN is greater than every number


def _integer(text: Any, read: Any) -> Any:
    """Return a whole number of up to 64 bits; `read` is DuckDB's reading, which rounds and takes hexadecimals."""
    own = read.cast("string")
    # "15.0" is how pandas writes an integer column with gaps.
    gaps = ibis.and_(read.between(1 - _EXACT, _EXACT - 1), text == own + ".0")
    return ibis.cases((text == own, read), (gaps, read), else_=_odd_integer(text))


#: From here on a float may stand for several whole numbers.
_EXACT: Final = 2**53


def _odd_integer(text: Any) -> Any:
    """Return a whole number that is not in its own spelling, digit by digit where a float would round it."""
    number = _finite(text, text.try_cast("float64"))
    rounded = number.try_cast("int64")
    small = ibis.and_(number.abs() < _EXACT, number == rounded.cast("float64"))
    digits = text.strip().re_search(r"^[+-]?\d{16,19}$")
    return ibis.cases((small, rounded), (digits, text.try_cast("int64")), else_=ibis.null("int64"))


def _datetime(text: Any) -> Any:
    """Return a moment in UTC. Only ISO 8601: a date in another order must not be guessed."""
    # Of these lengths are a date alone, and a moment to the second in UTC: DuckDB reads both as they are.
    usual = ibis.and_(text.length().isin([10, 20]), _iso(text))
    return ibis.cases((usual, text.try_cast("timestamp")), else_=_odd_datetime(trimmed(text)))


def _iso(text: Any) -> Any:
    # DuckDB has a year 0.
    return ibis.and_(text >= "0001", text.re_search(f"^{ISO_MOMENT}$"))


def _odd_datetime(text: Any) -> Any:
    """Return a moment of any ISO form."""
    rest = text.substr(16)
    # DuckDB reads an offset only after seconds, and drops it from a TIMESTAMP.
    whole = ibis.and_(text.length() > 16, ~rest.startswith(":")).ifelse(text.left(16) + ":00" + rest, text)
    shifted = rest.contains("+") | rest.contains("-")
    moment = shifted.ifelse(whole.try_cast("timestamp('UTC')").cast("timestamp"), whole.try_cast("timestamp"))
    return _iso(text).ifelse(moment, ibis.null("timestamp"))


def cell_rules(cell: Cell) -> Iterator[CellRule]:
    """Yield the rules that a cell's column declares."""
    column, text, value = cell.column, cell.text, cell.value
    if not column.nullable:
        yield _rule("null", column, "must not be empty", "Fill the cell, or set nullable: true.", cell.missing)
    if column.type not in ("category", "text"):
        unreadable = ibis.and_(value.isnull(), ~cell.missing)
        yield _rule("type", column, f"must be {_TYPE_WORDS[column.type]}", _TYPE_REMEDIES[column.type], unreadable)
    if column.min is not None:
        bad = value < _bound(column, column.min)
        yield _rule("min", column, f"must be at least {column.min:g}", _RANGE_REMEDY, bad)
    if column.max is not None:
        bad = value > _bound(column, column.max)
        yield _rule("max", column, f"must be at most {column.max:g}", _RANGE_REMEDY, bad)
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


def keeps_rules(cell: Cell) -> Any:
    """Return a condition that is true where, and only where, the cell breaks no rule; None when all cells keep them.

    It begins with what ordinary cells keep, so that the rest is asked of few: DuckDB asks a condition's second part
    only where the first does not decide.
    """
    kept = [~rule.bad for rule in cell_rules(cell) if rule.code not in ("null", "type")]
    if not cell.column.nullable:
        return ibis.and_(cell.value.notnull(), *kept)  # neither missing nor unreadable
    if cell.text is not None and cell.column.type in ("category", "text"):
        return ibis.or_(cell.missing, ibis.and_(*kept)) if kept else None
    return ibis.or_(ibis.and_(cell.value.notnull(), *kept), cell.missing)


def _bound(column: Column, bound: float) -> int | float:
    """Return a bound of the column's type: a whole number is compared as it is, not as a float."""
    return int(bound) if column.type == "integer" and bound.is_integer() else bound


def _rule(code: str, column: Column, rule: str, remedy: str, bad: Any) -> CellRule:
    return CellRule(code=code, column=column.name, rule=rule, remedy=remedy, bad=bad)


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


def trimmed(text: Any) -> Any:
    """Return a cell without white space at its ends."""
    # White space is less than "!". Trimming costs DuckDB several times as much as asking whether there is any.
    return ((text < "!") | (text.right(1) < "!")).ifelse(text.strip(), text)


def present(text: Any, null_values: tuple[str, ...]) -> Any:
    """Return a trimmed text, NULL where it is one of the contract's null words."""
    return text.isin(null_words(null_values)).ifelse(ibis.null("string"), text)


def null_words(null_values: tuple[str, ...]) -> list[str]:
    """Return the texts that mean a missing value, of those that a trimmed cell can be."""
    return ["", *(word for word in null_values if word != "" and word == word.strip(WHITE_SPACE))]
