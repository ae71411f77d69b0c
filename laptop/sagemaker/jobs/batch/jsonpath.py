"""The part of JSONPath that batch transform knows (developer guide, "Supported JSONPath operators").

`$`, `.name`, `.*` and `[*]`, `['name', 'name']`, `[0, 5]`, `[1:3]`, and indices and slices together, as in `$[0,5:]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

_NAME: Final = re.compile(r"\.([A-Za-z_][\w-]*)")
_NAMES: Final = re.compile(r"\.?\[\s*('[^']*'(?:\s*,\s*'[^']*')*)\s*\]")
_WILD: Final = re.compile(r"\.\*|\[\*\]")
_PART: Final = r"(?:-?\d*:-?\d*|-?\d+)"
_PLACES: Final = re.compile(rf"\.?\[\s*({_PART}(?:\s*,\s*{_PART})*)\s*\]")

Place = int | slice


class JsonPathError(ValueError):
    """The expression is none that batch transform supports, or the record has not what it names."""


@dataclass(frozen=True)
class _Names:
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Places:
    places: tuple[Place, ...]


_EVERY: Final = "every"
Step = _Names | _Places | str


@dataclass(frozen=True)
class JsonPath:
    """One expression."""

    text: str
    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Raise JsonPathError for what is not supported."""
        if not text.startswith("$"):
            raise JsonPathError(f"JSONPath {text!r} must begin with $")
        steps: list[Step] = []
        at = 1
        while at < len(text):
            step, at = _step(text, at)
            steps.append(step)
        if any(isinstance(step, _Names) and len(step.names) > 1 for step in steps[:-1]):
            raise JsonPathError(f"JSONPath {text!r}: nothing may follow several names")
        return cls(text, tuple(steps))

    @property
    def whole(self) -> bool:
        """Return whether it is `$`, which selects everything."""
        return not self.steps

    def select(self, value: Any) -> Any:
        """Return what the expression selects.

        Raises JsonPathError when the value has not what it names.
        """
        return self._select(value, self.steps)

    def _select(self, value: Any, steps: tuple[Step, ...]) -> Any:
        if not steps:
            return value
        step, rest = steps[0], steps[1:]
        if isinstance(step, _Names):
            if not isinstance(value, dict) or any(name not in value for name in step.names):
                raise JsonPathError(f"a record has no {', '.join(step.names)}, which {self.text} names")
            if len(step.names) == 1:
                return self._select(value[step.names[0]], rest)
            return {name: value[name] for name in step.names}
        if isinstance(step, _Places):
            if not isinstance(value, list):
                raise JsonPathError(f"a record is no array where {self.text} asks for indices")
            if len(step.places) == 1 and isinstance(step.places[0], int):
                return self._select(self._at(value, step.places[0]), rest)
            picked = [item for place in step.places for item in self._range(value, place)]
            return [self._select(item, rest) for item in picked]
        if not isinstance(value, dict | list):
            raise JsonPathError(f"a record is neither array nor object where {self.text} has *")
        return [self._select(item, rest) for item in (value.values() if isinstance(value, dict) else value)]

    def _at(self, value: list[Any], place: int) -> Any:
        if not -len(value) <= place < len(value):
            raise JsonPathError(f"a record has {len(value)} elements, and no index {place} of {self.text}")
        return value[place]

    def _range(self, value: list[Any], place: Place) -> list[Any]:
        return value[place] if isinstance(place, slice) else [self._at(value, place)]


def _step(text: str, at: int) -> tuple[Step, int]:
    if found := _WILD.match(text, at):
        return _EVERY, found.end()
    if found := _NAME.match(text, at):
        return _Names((found[1],)), found.end()
    if found := _NAMES.match(text, at):
        return _Names(tuple(re.findall(r"'([^']*)'", found[1]))), found.end()
    if found := _PLACES.match(text, at):
        return _Places(tuple(_place(part.strip()) for part in found[1].split(","))), found.end()
    raise JsonPathError(f"JSONPath {text!r}: batch transform does not support {text[at:]!r}")


def _place(text: str) -> Place:
    if ":" not in text:
        return int(text)
    first, _, last = text.partition(":")
    return slice(int(first) if first else None, int(last) if last else None)
