"""Segments: groups of rows that are looked at one by one, and what is counted in each of them.

Counts are exact sums, as all of a profile is: of each column, by the segment's level, the rows in a few parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.levels import level_counts, level_places
from passerelle.domain.drift.numbers import as_numbers

if TYPE_CHECKING:
    from passerelle.contracts.bundle import ColumnType

Array = npt.NDArray[Any]

#: Of a column's levels the most frequent ones are looked at, and of all columns together so many, first come.
LEVELS: Final = 20
ALL_LEVELS: Final = 40
#: A number of more values than these is cut at its quartiles, as the gate cuts it.
_VALUES: Final = 12
_QUARTILES: Final = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class SegmentCuts:
    """How a column divides rows: by `values`, which are levels or numbers, or a number's range at `borders`."""

    values: tuple[str, ...] | tuple[float, ...] = ()
    borders: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What each level is called."""
        if self.values:
            return tuple(value if isinstance(value, str) else f"{value:g}" for value in self.values)
        bounds = ["", *(f"{border:g}" for border in self.borders), ""]
        return tuple(_range(low, high) for low, high in pairwise(bounds))

    def places(self, values: Any) -> Array:
        """Return the level of each row, shape (n,); the last place is of all other rows, as of missing values."""
        rest = len(self.names)
        if self.values and isinstance(self.values[0], str):
            return level_places(values, [str(value) for value in self.values], other=rest, missing=rest)
        numbers = as_numbers(values)
        if self.borders:
            return np.where(np.isnan(numbers), rest, np.searchsorted(self.borders, numbers, "right"))
        found = np.full(len(numbers), rest)
        for at, value in enumerate(self.values):
            found[numbers == value] = at
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {"values": list(self.values), "borders": list(self.borders)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the cuts that `to_dict` gave."""
        return cls(values=tuple(found["values"]), borders=tuple(found["borders"]))


def segment_cuts(
    columns: Mapping[str, Any], types: Mapping[str, ColumnType], names: Iterable[str], least: int
) -> dict[str, SegmentCuts]:
    """Return how these columns divide a table into segments, those of none left out.

    Parameters
    ----------
    names : of columns; one that is not there, or of times, divides nothing.
    least : rows that a level needs to be looked at.
    """
    found: dict[str, SegmentCuts] = {}
    for name in dict.fromkeys(names):
        if name not in columns or types.get(name, "datetime") == "datetime":
            continue
        most = min(LEVELS, ALL_LEVELS - sum(len(cuts.names) for cuts in found.values()))
        cuts = _cuts(types[name], columns[name], least, most)
        if 1 <= len(cuts.names) <= most and (cuts.values or cuts.borders):
            found[name] = cuts
    return found


def segment_name(column: str, level: str) -> str:
    """Return what a segment is called."""
    return f"{column} = {level}"


def _cuts(type_: ColumnType, values: Any, least: int, most: int) -> SegmentCuts:
    if type_ not in ("integer", "number"):
        counts = level_counts(values).counts
        often = sorted((level for level in counts if counts[level] >= least), key=lambda level: (-counts[level], level))
        return SegmentCuts(values=tuple(often[:most]))
    numbers = as_numbers(values)
    values_, rows = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if len(values_) <= _VALUES:
        order = [at for at in np.argsort(-rows, kind="stable") if rows[at] >= least]
        return SegmentCuts(values=tuple(float(values_[at]) for at in order[:most]))
    borders = np.unique(np.quantile(numbers[np.isfinite(numbers)], _QUARTILES))
    return SegmentCuts(borders=tuple(float(border) for border in borders))


def _range(low: str, high: str) -> str:
    if not low or not high:
        return f"under {high}" if high else f"{low} and more"
    return f"{low} to under {high}"
