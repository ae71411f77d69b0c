"""CloudWatch Logs' filter patterns: words of a line, and conditions on the properties of a JSON line.

CloudWatch Logs user guide, "Filter pattern syntax". Patterns of space-delimited lines (`[ip, user, ...]`) are refused.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

Test = Callable[[str], bool]
_Condition = Callable[[Any], bool]
_WORD: Final = re.compile(r'([?-]?)("(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)+%|[^\s"]+)\s*')
_SELECTOR: Final = r"\$(?:\['[^']*'\]|\[\"[^\"]*\"\]|[^\s()=<>!&|])*"
_TOKEN: Final = re.compile(
    rf"\s*(?P<token>\(|\)|&&|\|\||!=|<=|>=|=|<|>|%(?:[^%\\]|\\.)+%|\"(?:[^\"\\]|\\.)*\"|{_SELECTOR}|[^\s()=<>!&|]+)"
)
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_ORDER: Final = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
_NOTHING: Final = object()


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Test:
    """Return the test of a pattern; raises ValueError for one that is wrong or not known here."""
    text = pattern.strip()
    if text.startswith("["):
        raise ValueError(f"The laptop does not read space-delimited lines: {pattern}")
    return _of_json(text) if text.startswith("{") else _of_words(text)


def select(document: Any, selector: str) -> Any:
    """Return what a selector such as $.a.b[0] finds in a document; None where it finds nothing."""
    found = _find(document, selector)
    return None if found is _NOTHING else found


def _of_words(text: str) -> Test:
    needed: list[Test] = []
    excluded: list[Test] = []
    either: list[Test] = []
    position = 0
    while position < len(text):
        match = _WORD.match(text, position)
        if not match:
            raise ValueError(f"Invalid filter pattern at {text[position:]!r}")
        {"": needed, "-": excluded, "?": either}[match[1]].append(_contains(match[2]))
        position = match.end()

    def test(line: str) -> bool:
        return (
            all(word(line) for word in needed)
            and not any(word(line) for word in excluded)
            and (not either or any(word(line) for word in either))
        )

    return test


def _contains(word: str) -> Test:
    if word.startswith("%") and word.endswith("%") and len(word) > 2:
        expression = re.compile(word[1:-1])
        return lambda line: expression.search(line) is not None
    text = _unquoted(word)
    return lambda line: text in line


def _of_json(text: str) -> Test:
    if not text.endswith("}"):
        raise ValueError(f"Invalid filter pattern: {text} has no closing brace")
    condition = _Parser(text[1:-1]).parse()

    def test(line: str) -> bool:
        try:
            document = json.loads(line)
        except ValueError:
            return False
        return condition(document)

    return test


class _Parser:
    """Reads conditions joined by && and ||, of which && binds closer."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens = text, list(_tokens(text))

    def parse(self) -> _Condition:
        condition = self._either()
        if self._tokens:
            raise self._wrong()
        return condition

    def _wrong(self) -> ValueError:
        return ValueError(f"Invalid filter pattern {{{self._text}}}, at {' '.join(self._tokens) or 'its end'}")

    def _take(self, *wanted: str) -> str | None:
        if self._tokens and (not wanted or self._tokens[0].upper() in wanted):
            return self._tokens.pop(0)
        return None

    def _either(self) -> _Condition:
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _both(self) -> _Condition:
        parts = [self._one()]
        while self._take("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _one(self) -> _Condition:
        if self._take("("):
            condition = self._either()
            if not self._take(")"):
                raise self._wrong()
            return condition
        selector = self._take()
        if selector is None or not selector.startswith("$"):
            raise self._wrong()
        if self._take("IS"):
            wanted = {"TRUE": True, "FALSE": False, "NULL": None}[self._need("TRUE", "FALSE", "NULL").upper()]
            return lambda document: _find(document, selector) is wanted
        if self._take("NOT"):
            self._need("EXISTS")
            return lambda document: _find(document, selector) is _NOTHING
        if self._take("EXISTS"):
            return lambda document: _find(document, selector) is not _NOTHING
        sign, value = self._need("=", "!=", *_ORDER), self._take()
        if value is None:
            raise self._wrong()
        return _comparison(selector, sign, value)

    def _need(self, *wanted: str) -> str:
        found = self._take(*wanted)
        if found is None:
            raise self._wrong()
        return found


def _comparison(selector: str, sign: str, value: str) -> _Condition:
    number = _number(value)
    if sign in _ORDER:
        if number is None:
            raise ValueError(f"Invalid filter pattern: {value} after {sign} is no number")
        compare, bound = _ORDER[sign], number
        return lambda document: (
            (found := _number(_find(document, selector))) is not None and bool(compare(found, bound))
        )
    equal = _equal(value, number)
    if sign == "=":
        return lambda document: equal(_find(document, selector))
    return lambda document: (found := _find(document, selector)) is not _NOTHING and not equal(found)


def _equal(value: str, number: float | None) -> _Condition:
    if value.startswith("%"):
        expression = re.compile(value[1:-1])
        return lambda found: isinstance(found, str) and expression.search(found) is not None
    if number is not None and not value.startswith('"'):
        return lambda found: _number(found) == number
    pieces = [re.escape(piece) for piece in _unquoted(value).split("*")]
    wildcard = re.compile(".*".join(pieces), re.DOTALL)
    return lambda found: isinstance(found, str) and wildcard.fullmatch(found) is not None


def _find(document: Any, selector: str) -> Any:
    found = document
    for name, index, quoted, double in _STEP.findall(selector):
        key = name or quoted or double
        if key and isinstance(found, dict) and key in found:
            found = found[key]
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            return _NOTHING
    return found


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"Invalid filter pattern at {text[position:]!r}")
        yield match["token"]
        position = match.end()


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') and len(text) > 1 else text
