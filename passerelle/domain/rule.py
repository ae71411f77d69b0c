"""A business rule as a project declares it: lines `condition -> answer`, the first that holds counts.

    hour >= 18 and origin in [EWR, JFK] -> 0.4
    tailnum is missing or not (distance < 500) -> 0.3
    otherwise -> 0.15

Read by a small parser, never evaluated as code. A missing cell fulfils `is missing` only.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.errors import InputError

Array = npt.NDArray[Any]
Value = float | str | bool
LONGEST: Final = 1_000
DEEPEST: Final = 20
OTHERWISE: Final = "otherwise"
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<sign>->|>=|<=|==|!=|>|<|[()\[\],])|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|'(?P<text>[^']*)'|`(?P<column>[^`]+)`|(?P<word>[^\W\d]\w*))"
)
_SIGNS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


class RuleError(InputError):
    """A line is no rule; the message says where and what was expected."""


@dataclass(frozen=True)
class Test:
    """One comparison: `sign` is one of the comparisons, `in`, or `is missing`."""

    column: str
    sign: str
    values: tuple[Value, ...] = ()

    def holds(self, frame: Any) -> Array:
        """Return where it holds, shape (n_rows,)."""
        cells = frame[self.column].to_numpy()
        missing = np.array([cell is None or bool(cell != cell) for cell in cells.tolist()], dtype=np.bool_)
        if self.sign == "is missing":
            return missing
        number = cells.dtype.kind == "f"
        wanted = [float(value) if number else str(value) for value in self.values]
        found = np.zeros(len(cells), dtype=np.bool_)
        compare = _SIGNS.get(self.sign, _SIGNS["=="])
        for value in wanted:
            found[~missing] |= np.asarray(compare(cells[~missing], value), dtype=np.bool_)
        return found

    def tests(self) -> Iterator[Test]:
        """Yield every comparison below."""
        yield self


@dataclass(frozen=True)
class Joined:
    """Conditions joined by `and` or `or`; `not` has one."""

    how: str
    parts: tuple[Test | Joined, ...]

    def holds(self, frame: Any) -> Array:
        """Return where it holds, shape (n_rows,)."""
        found = [part.holds(frame) for part in self.parts]
        if self.how == "not":
            return ~found[0]
        return np.asarray(np.all(found, axis=0) if self.how == "and" else np.any(found, axis=0))

    def tests(self) -> Iterator[Test]:
        """Yield every comparison below."""
        for part in self.parts:
            yield from part.tests()


@dataclass(frozen=True)
class Line:
    """A condition, None for `otherwise`, and the answer: a value, or the name of the column that holds it."""

    condition: Test | Joined | None
    answer: Value
    is_column: bool = False


def parse_rule(lines: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a rule, in order.

    Raises RuleError when a line is none, or the last is not `otherwise`, which only the last may be.
    """
    parsed = tuple(_Parser(line).line() for line in lines)
    if not parsed or parsed[-1].condition is not None or parsed[-1].is_column:
        raise RuleError("the last line must be `otherwise -> VALUE`: every row needs an answer")
    if any(line.condition is None for line in parsed[:-1]):
        raise RuleError("a line after `otherwise` is never reached")
    if len(parsed) < 2:
        raise RuleError("a rule needs a condition, such as `hour >= 18 -> 0.4`, before `otherwise`")
    return parsed


def columns_of(lines: Sequence[Line]) -> tuple[str, ...]:
    """Return the columns that a rule reads, each once."""
    found = [test.column for line in lines if line.condition for test in line.condition.tests()]
    found += [str(line.answer) for line in lines if line.is_column]
    return tuple(dict.fromkeys(found))


def answers(lines: Sequence[Line], frame: Any) -> Array:
    """Return each row's answer, shape (n_rows,) of objects; a line whose column is empty leaves a row to the next."""
    found = np.full(len(frame), None, dtype=object)
    open_ = np.ones(len(frame), dtype=bool)
    for line in lines:
        now = open_ if line.condition is None else open_ & line.condition.holds(frame)
        if line.is_column:
            cells = frame[str(line.answer)].to_numpy()
            now = now & ~np.isnan(cells)
            found[now] = cells[now]
        else:
            found[now] = line.answer
        open_ = open_ & ~now
    return found


class _Parser:
    """Recursive descent over one line's tokens: (kind, text)."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth = text, 0, 0
        if len(text) > LONGEST:
            raise RuleError(f"a line has at most {LONGEST} characters, this one {len(text)}")
        self._tokens = list(_tokens(text))

    def line(self) -> Line:
        condition: Test | Joined | None = None
        if self._peek() == ("word", OTHERWISE):
            self._place += 1
        else:
            condition = self._or()
        self._need("->")
        kind, word = self._next("an answer")
        if self._place != len(self._tokens):
            raise self._error("nothing")
        if kind == "column":
            return Line(condition, word, is_column=True)
        if kind not in ("number", "text", "word"):
            self._place -= 1
            raise self._error("an answer")
        return Line(condition, _value(kind, word))

    def _or(self) -> Test | Joined:
        return self._series("or", self._and)

    def _and(self) -> Test | Joined:
        return self._series("and", self._one)

    def _series(self, word: str, part: Callable[[], Test | Joined]) -> Test | Joined:
        parts = [part()]
        while self._peek() == ("word", word):
            self._place += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _one(self) -> Test | Joined:
        self._depth += 1
        if self._depth > DEEPEST:
            raise RuleError(f"nested more than {DEEPEST} deep: {self._text!r}")
        try:
            if self._peek() == ("word", "not"):
                self._place += 1
                return Joined("not", (self._one(),))
            if self._peek() == ("sign", "("):
                self._place += 1
                inner = self._or()
                self._need(")")
                return inner
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Test:
        kind, column = self._next("a column")
        if kind not in ("word", "column"):
            self._place -= 1
            raise self._error("a column")
        kind, sign = self._next("a comparison, `in` or `is missing`")
        if (kind, sign) == ("word", "is") and self._peek() == ("word", "missing"):
            self._place += 1
            return Test(column, "is missing")
        if (kind, sign) == ("word", "in"):
            return Test(column, "in", tuple(self._values()))
        if kind == "sign" and sign in _SIGNS:
            return Test(column, sign, (self._one_value(),))
        self._place -= 1
        raise self._error("a comparison, `in` or `is missing`")

    def _values(self) -> Iterator[Value]:
        self._need("[")
        yield self._one_value()
        while self._peek() == ("sign", ","):
            self._place += 1
            yield self._one_value()
        self._need("]")

    def _one_value(self) -> Value:
        kind, word = self._next("a value")
        if kind not in ("number", "text", "word"):
            self._place -= 1
            raise self._error("a value")
        return _value(kind, word)

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self, expected: str) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise self._error(expected)
        self._place += 1
        return token

    def _need(self, sign: str) -> None:
        if self._peek() != ("sign", sign):
            raise self._error(f"`{sign}`")
        self._place += 1

    def _error(self, expected: str) -> RuleError:
        token = self._peek()
        found = f"{token[1]!r}" if token else "the end"
        return RuleError(f"{self._text!r}: expected {expected}, found {found}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise RuleError(f"{text!r}: cannot be read from {text[place:].strip()!r} on")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        place = match.end()


def _value(kind: str, word: str) -> Value:
    if kind == "number":
        return float(word)
    return {"true": True, "false": False}.get(word, word) if kind == "word" else word
