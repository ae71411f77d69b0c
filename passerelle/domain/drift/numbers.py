"""What a window counted of a column of numbers: small, and added to another window's without loss, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import STEPS, NumberCuts
from passerelle.domain.drift.levels import Encoded

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class NumberCounts:
    """Counts of a column of numbers. `invalid` are values that are no number at all."""

    cells: Array
    missing: int = 0
    invalid: int = 0
    below: int = 0
    above: int = 0
    first: int = 0
    second: int = 0
    least: float | None = None
    greatest: float | None = None

    @property
    def finite(self) -> int:
        """How many finite numbers."""
        return int(self.cells.sum())

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.finite + self.missing + self.invalid + self.below + self.above

    def mean(self, cuts: NumberCuts) -> float | None:
        """Return the mean of the finite numbers; numbers beyond a thousand scales from the centre count as that far."""
        return cuts.centre + self.first / self.finite * cuts.scale / STEPS if self.finite else None

    def deviation(self, cuts: NumberCuts) -> float | None:
        """Return the standard deviation of the finite numbers (divided by n)."""
        if not self.finite:
            return None
        variance = (self.second * self.finite - self.first**2) / self.finite**2
        return float(max(0.0, variance) ** 0.5 * cuts.scale / STEPS)

    def __add__(self, other: NumberCounts) -> NumberCounts:
        return NumberCounts(
            cells=self.cells + other.cells,
            least=outermost(min, self.least, other.least),
            greatest=outermost(max, self.greatest, other.greatest),
            **{name: getattr(self, name) + getattr(other, name) for name in _SUMS},
        )

    @classmethod
    def nothing(cls, cuts: NumberCuts) -> NumberCounts:
        """Return the counts of no rows."""
        return cls(cells=np.zeros(len(cuts.cuts) + 1, np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {"cells": self.cells.tolist()} | {name: getattr(self, name) for name in (*_SUMS, "least", "greatest")}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the counts that `to_dict` gave."""
        return cls(**{**found, "cells": np.array(found["cells"], np.int64)})


_SUMS: Final = ("missing", "invalid", "below", "above", "first", "second")


def outermost(choose: Any, one: Any, other: Any) -> Any:
    """Return the least or greatest of what is there, None of nothing."""
    found = [value for value in (one, other) if value is not None]
    return choose(found) if found else None


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A chunk's finite numbers in ascending order, and how many values were something else."""

    numbers: Array
    missing: int = 0
    invalid: int = 0
    below: int = 0
    above: int = 0


def sort_numbers(values: Any) -> Sorted:
    """Return a chunk's numbers in order; a value that is no number is counted as invalid, never raised."""
    numbers, missing, invalid = _numbers(values)
    if numbers.dtype.kind != "f":
        return Sorted(numbers=np.sort(numbers).astype(np.float64), missing=missing, invalid=invalid)
    ordered = np.sort(numbers).astype(np.float64, copy=False)  # NaN comes last, infinities outermost
    first = np.searchsorted(ordered, -np.inf, "right")
    last, end = np.searchsorted(ordered, [np.inf, np.nan], "left").tolist()
    return Sorted(
        numbers=ordered[first:last],
        missing=missing + len(ordered) - end,
        invalid=invalid,
        below=int(first),
        above=end - last,
    )


def count_numbers(cuts: NumberCuts, values: Any) -> NumberCounts:
    """Count a chunk of a column of numbers, given as an array, a sequence or already `Sorted`."""
    chunk = values if isinstance(values, Sorted) else sort_numbers(values)
    ordered = chunk.numbers
    first, second = cuts.moments(ordered) if len(ordered) else (0, 0)
    return NumberCounts(
        cells=cuts.cells(ordered),
        missing=chunk.missing,
        invalid=chunk.invalid,
        below=chunk.below,
        above=chunk.above,
        first=first,
        second=second,
        least=float(ordered[0]) if len(ordered) else None,
        greatest=float(ordered[-1]) if len(ordered) else None,
    )


def _numbers(values: Any) -> tuple[Array, int, int]:
    """Return the values as an array of numbers, how many were missing besides NaN, and how many are no numbers."""
    if isinstance(values, Encoded):
        values = values.decoded()
    array = np.asarray(values)
    if array.dtype.kind in "fiu":
        return array, 0, 0
    if array.dtype.kind == "b":
        return array.astype(np.float64), 0, 0
    if array.dtype.kind == "M":
        return np.where(np.isnat(array), np.nan, array.astype("datetime64[s]").astype(np.float64)), 0, 0
    found: list[float] = []
    missing = invalid = 0
    for value in array.tolist():
        if value is None or value != value:
            missing += 1
            continue
        try:
            found.append(float(value))
        except (TypeError, ValueError, OverflowError):
            invalid += 1
    return np.array(found, np.float64), missing, invalid


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


def missing_rows(values: Any, *, numbers: bool) -> Array:
    """Return which rows have no value, or where they should be `numbers`, none that is one; shape (n,)."""
    if isinstance(values, Encoded):
        if not numbers:
            return np.asarray(np.asarray(values.codes) < 0)
        values = values.decoded()
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return np.asarray(np.isnat(array))
    if array.dtype.kind == "f" or numbers:
        return np.isnan(as_numbers(array))
    if array.dtype.kind != "O":
        return np.zeros(len(array), bool)
    found: Array = np.array([value is None or value != value for value in array.tolist()], bool)
    return found
