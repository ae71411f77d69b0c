"""Inputs as few coarse cells, for models so small that they fit into a bundle: quarters of numbers, frequent levels.

Cells are centred on the reference: a column that is absent says nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.levels import Encoded, level_text
from passerelle.domain.drift.numbers import as_numbers

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType

Array = npt.NDArray[Any]

#: Columns are coded in their order until there are so many cells; give the important ones first.
MOST_CELLS: Final = 100
_PARTS: Final = 4
_LEVELS: Final = 8
_MISSING: Final = -1


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How one column is coded: `cuts` of numbers or `levels`; `shares` are those of its cells in the reference.

    The first cell is of missing values; of levels the last one is of all others.
    """

    name: str
    cuts: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    is_time: bool = False
    shares: tuple[float, ...] = ()

    def cells(self, values: Any) -> Array:
        """Return the cell of each row, shape (n,)."""
        if self.is_time:
            return 1 + _parts_of_the_week(values)
        if self.levels:
            place = {level: 1 + at for at, level in enumerate(self.levels)}
            return np.array([0 if text is None else place.get(text, len(place) + 1) for text in texts(values)], np.intp)
        found = as_numbers(values)
        return np.where(np.isnan(found), 0, 1 + np.searchsorted(np.asarray(self.cuts), found, "left"))

    def matrix(self, values: Any) -> Array:
        """Return a column per cell, 1 for the rows in it, less its share in the reference; shape (n, cells)."""
        coded = np.zeros((len(values), len(self.shares)), np.float32)
        coded[np.arange(len(coded)), self.cells(values)] = 1
        return coded - np.asarray(self.shares, np.float32)


def code_columns(columns: Mapping[str, Any], types: Mapping[str, ColumnType]) -> tuple[Coding, ...]:
    """Return how these columns are coded; texts and constant columns are left out, and all beyond MOST_CELLS."""
    found: list[Coding] = []
    for name, type_ in types.items():
        if name not in columns or type_ == "text":
            continue
        coding = _coding(name, type_, columns[name])
        cells = _cell_count(coding)
        if sum(len(one.shares) for one in found) + cells > MOST_CELLS:
            break
        shares = np.bincount(coding.cells(columns[name]), minlength=cells)
        if shares.max(initial=0) < shares.sum():
            found.append(replace(coding, shares=tuple(float(share) for share in shares / shares.sum())))
    return tuple(found)


def coded_matrix(codings: tuple[Coding, ...], columns: Mapping[str, Any], rows: int) -> Array:
    """Return all columns' cells side by side, shape (rows, cells); those of an absent column are nought."""
    parts = [
        one.matrix(columns[one.name]) if one.name in columns else np.zeros((rows, len(one.shares)), np.float32)
        for one in codings
    ]
    return np.hstack([np.zeros((rows, 0), np.float32), *parts])


def coding_from_dict(found: Mapping[str, Any]) -> Coding:
    """Return the coding that `asdict` gave, from JSON."""
    lists = {name: tuple(found[name]) for name in ("cuts", "levels", "shares")}
    return Coding(name=found["name"], is_time=found["is_time"], **lists)


def _coding(name: str, type_: ColumnType, values: Any) -> Coding:
    if type_ == "datetime":
        return Coding(name=name, is_time=True)
    if type_ in ("integer", "number"):
        found = as_numbers(values)
        known = np.sort(found[np.isfinite(found)])
        at = np.linspace(0, len(known), _PARTS + 1).astype(int)[1:-1]
        return Coding(name=name, cuts=tuple(float(cut) for cut in np.unique(known[at])) if len(known) else ())
    levels, counts = np.unique([text for text in texts(values) if text is not None], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_LEVELS]
    return Coding(name=name, levels=tuple(str(level) for level in levels[order]))


def _cell_count(coding: Coding) -> int:
    if coding.is_time:
        return 1 + 7 + 3
    return len(coding.levels) + 2 if coding.levels else len(coding.cuts) + 2


def texts(values: Any) -> list[str | None]:
    """Return levels as text, None for a missing one."""
    listed = (values.decoded() if isinstance(values, Encoded) else np.asarray(values)).tolist()
    return [None if value is None or value != value else level_text(value) for value in listed]


def _parts_of_the_week(values: Any) -> Array:
    """Return -1 for a missing time; weekdays by day, 0 to 6, and Monday to Sunday's nights and evenings apart."""
    moments = np.asarray(values).astype("datetime64[h]")
    hours = moments.astype(np.int64)
    day, hour = (hours // 24 + 3) % 7, hours % 24
    part = np.where(hour < 6, 7, np.where(hour >= 18, 8 + (day >= 5), day))
    return np.where(np.isnat(moments), _MISSING, part)


def taken(values: Any, rows: Array) -> Any:
    """Return these rows of a column."""
    if isinstance(values, Encoded):
        return Encoded(codes=np.asarray(values.codes)[rows], levels=values.levels)
    return np.asarray(values)[rows]
