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

from passerelle.domain.drift.cuts import LevelClass, LevelCuts, LevelFilter, NumberCuts
from passerelle.domain.drift.levels import level_places
from passerelle.domain.drift.numbers import as_numbers, missing_rows
from passerelle.domain.drift.packed import pack, unpack
from passerelle.domain.drift.segments import SegmentCuts

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
    and of levels one for all others. Within each level of the `segments`' columns the same parts are counted, also
    those of the columns in `within`, which are in no pair; of all other columns, which rows have a value.
    """

    columns: Mapping[str, Cuts]
    quarters: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    segments: Mapping[str, SegmentCuts] = field(default_factory=dict)
    within: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Twelve hex digits: profiles of one id can be added and compared."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of columns that are counted together."""
        return list(combinations(self.quarters, 2))

    def borders(self, name: str) -> tuple[Any, ...] | None:
        """Return the borders of a column's parts, None of one in which only missing values are told from others."""
        return self.quarters.get(name, self.within.get(name))

    def sides(self, name: str) -> int:
        """Return how many parts a column has, missing values among them."""
        return 2 if self.borders(name) is None else _PARTS + 1

    def parts(self, name: str, values: Any) -> Array:
        """Return the part that each row of a column is in, shape (n,); the last part is of missing values."""
        borders = self.borders(name)
        if borders is None:
            return missing_rows(values, numbers=isinstance(self.columns[name], NumberCuts)).astype(np.intp)
        if isinstance(self.columns[name], NumberCuts):
            numbers = as_numbers(values)
            missing = np.isnan(numbers) * np.int8(_PARTS)
            return np.asarray(sum((numbers > border for border in borders), start=missing).astype(np.intp))
        return level_places(values, borders, other=_PARTS - 1, missing=_PARTS)

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
            "segments": {name: cuts.to_dict() for name, cuts in self.segments.items()},
            "within": {name: list(borders) for name, borders in self.within.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the layout that `to_dict` gave."""
        return cls(
            columns={name: _cuts_from_dict(cuts) for name, cuts in found["columns"].items()},
            quarters={name: tuple(borders) for name, borders in found["quarters"].items()},
            segments={name: SegmentCuts.from_dict(cuts) for name, cuts in found["segments"].items()},
            within={name: tuple(borders) for name, borders in found["within"].items()},
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


def _cuts_to_dict(cuts: Cuts) -> dict[str, Any]:
    if isinstance(cuts, NumberCuts):
        return {"kind": "number", **asdict(cuts), "cuts": pack(np.array(cuts.cuts, np.float64))}
    if isinstance(cuts, TimeCuts):
        return {"kind": "time"}
    classes = [
        {"known": each.known.text if each.known.whole else None, "share": each.share, "variance": each.variance}
        for each in cuts.classes
    ]
    rest = {"distinct": cuts.distinct, "singles": cuts.singles}
    return {"kind": "level", "levels": list(cuts.levels), "classes": classes, **rest}


def _cuts_from_dict(found: Mapping[str, Any]) -> Cuts:
    if found["kind"] == "number":
        rest = {name: value for name, value in found.items() if name not in ("kind", "cuts")}
        return NumberCuts(cuts=tuple(unpack(found["cuts"]).tolist()), **rest)
    if found["kind"] == "time":
        return TimeCuts()
    classes = tuple(
        LevelClass(
            known=LevelFilter(bits=base64.b64decode(each["known"] or ""), whole=each["known"] is not None),
            share=each["share"],
            variance=each["variance"],
        )
        for each in found["classes"]
    )
    rest = {name: found[name] for name in ("distinct", "singles")}
    return LevelCuts(levels=tuple(found["levels"]), classes=classes, **rest)
