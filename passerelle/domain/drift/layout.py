"""How a table is counted: the cuts of its columns, and which pairs of columns are counted together."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, LevelFilter, NumberCuts
from passerelle.domain.drift.levels import Encoded, level_text

Array = npt.NDArray[Any]

#: Columns whose pairs are counted: fifteen pairs of at most 25 cells.
PAIRED: Final = 6
_PARTS: Final = 4


@dataclass(frozen=True)
class TimeCuts:
    """Times are counted by hour and weekday; nothing is to be known beforehand."""


Cuts = NumberCuts | LevelCuts | TimeCuts


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns in order with their cuts; `quarters` cuts those that are counted in pairs into few parts.

    Of numbers these are the quartiles, of levels the most frequent ones; in both one more part is for missing values,
    and of levels one for all others.
    """

    columns: Mapping[str, Cuts]
    quarters: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Twelve hex digits: profiles of one id can be added and compared."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of columns that are counted together."""
        return list(combinations(self.quarters, 2))

    def parts(self, name: str, values: Any) -> Array:
        """Return the part that each row of a column is in, shape (n,); the last part is of missing values."""
        borders = self.quarters[name]
        if isinstance(self.columns[name], NumberCuts):
            numbers = as_numbers(values)
            missing = np.isnan(numbers) * np.int8(_PARTS)
            return np.asarray(sum((numbers > border for border in borders), start=missing).astype(np.intp))
        place = {level: at for at, level in enumerate(borders)}
        if isinstance(values, Encoded):
            table = np.array([place.get(level, _PARTS - 1) for level in values.levels] + [_PARTS])
            return np.asarray(table[np.asarray(values.codes)])
        lookup = {value: _part(place, value) for value in set(np.asarray(values).tolist())}
        return np.array([lookup[value] if value == value else _PARTS for value in np.asarray(values).tolist()], np.intp)

    def pair_cells(self, parts: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
        """Return how many rows are in each pair of parts; shape (parts + 1, parts + 1) for each pair."""
        sides = _PARTS + 1
        joint: Array = np.zeros(1, np.intp)
        for part in parts.values():  # all columns' parts at once: a row is placed once, not for each pair
            joint = joint * sides + part
        table = np.bincount(joint, minlength=sides ** len(parts)).reshape((sides,) * len(parts))
        axes = range(len(parts))
        return {
            (list(parts)[one], list(parts)[other]): table.sum(
                axis=tuple(axis for axis in axes if axis not in (one, other))
            )
            for one, other in combinations(axes, 2)
        }

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {
            "columns": {name: _cuts_to_dict(cuts) for name, cuts in self.columns.items()},
            "quarters": {name: list(borders) for name, borders in self.quarters.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the layout that `to_dict` gave."""
        return cls(
            columns={name: _cuts_from_dict(cuts) for name, cuts in found["columns"].items()},
            quarters={name: tuple(borders) for name, borders in found["quarters"].items()},
        )


def pair_name(pair: tuple[str, str]) -> str:
    """Return what a pair of columns is called."""
    return f"{pair[0]} × {pair[1]}"


def quarters_of(cuts: Cuts, ordered: Array | None) -> tuple[Any, ...]:
    """Return the borders of a column's parts: three quartiles of its numbers in order, or its three first levels."""
    if isinstance(cuts, LevelCuts):
        return cuts.levels[: _PARTS - 1]
    if ordered is None or not len(ordered):
        return ()
    at = [len(ordered) * part // _PARTS for part in range(1, _PARTS)]
    return tuple(float(border) for border in np.unique(ordered[at]))


def _part(place: Mapping[str, int], value: Any) -> int:
    if value is None or value != value:
        return _PARTS
    return place.get(level_text(value), _PARTS - 1)


def as_numbers(values: Any) -> Array:
    """Return a column's values as numbers, NaN for what is none; shape (n,)."""
    array = values.decoded() if isinstance(values, Encoded) else np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False)
    return np.array([_number(value) for value in array.tolist()], np.float64)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _cuts_to_dict(cuts: Cuts) -> dict[str, Any]:
    if isinstance(cuts, NumberCuts):
        return {"kind": "number", **asdict(cuts), "cuts": list(cuts.cuts)}
    if isinstance(cuts, TimeCuts):
        return {"kind": "time"}
    known = {"known": cuts.known.text, "whole": cuts.known.whole}
    rest = {"levels": list(cuts.levels), "distinct": cuts.distinct, "singles": cuts.singles}
    return {"kind": "level", **rest, **known}


def _cuts_from_dict(found: Mapping[str, Any]) -> Cuts:
    if found["kind"] == "number":
        rest = {name: value for name, value in found.items() if name not in ("kind", "cuts")}
        return NumberCuts(cuts=tuple(found["cuts"]), **rest)
    if found["kind"] == "time":
        return TimeCuts()
    known = LevelFilter(bits=base64.b64decode(found["known"]), whole=found["whole"])
    return LevelCuts(levels=tuple(found["levels"]), known=known, distinct=found["distinct"], singles=found["singles"])
