"""Rows as small codes: what a row has in each column, as the number of a few parts, a byte each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.layout import Cuts, Layout, TimeCuts
from passerelle.domain.drift.levels import Encoded, level_text
from passerelle.domain.drift.numbers import as_numbers

Array = npt.NDArray[Any]

#: Numbers are in one of so many parts, levels in one of so many with a code of their own.
PARTS: Final = 30
MISSING: Final = PARTS + 1
#: One code for each part, one for other levels, one for missing values.
CODES: Final = PARTS + 2


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Rows of some columns, shape (n, k), 0 to CODES - 1. Of `ordered` columns neighbouring codes are neighbours."""

    names: tuple[str, ...]
    ordered: tuple[bool, ...]
    rows: Array

    def sampled(self, most: int, seed: int) -> Self:
        """Return at most so many rows, drawn without return."""
        if len(self.rows) <= most:
            return self
        drawn = np.random.default_rng(seed).choice(len(self.rows), most, replace=False)
        return type(self)(names=self.names, ordered=self.ordered, rows=self.rows[np.sort(drawn)])


def code_rows(layout: Layout, columns: Mapping[str, Any]) -> Coded:
    """Return the rows of a table as codes; times are left out, an absent column is missing in all rows.

    Parameters
    ----------
    columns : by name, arrays or sequences of shape (n,), or `Encoded`.
    """
    cuts = {name: each for name, each in layout.columns.items() if not isinstance(each, TimeCuts)}
    rows = len(next(iter(columns.values()), ()))
    coded = [_codes(each, columns[name]) if name in columns else np.full(rows, MISSING) for name, each in cuts.items()]
    return Coded(
        names=tuple(cuts),
        ordered=tuple(isinstance(each, NumberCuts) for each in cuts.values()),
        rows=np.stack(coded, axis=1).astype(np.uint8) if coded else np.empty((rows, 0), np.uint8),
    )


def _codes(cuts: Cuts, values: Any) -> Array:
    if isinstance(cuts, NumberCuts):
        numbers = as_numbers(values)
        borders = _borders(cuts)
        return np.where(np.isnan(numbers), MISSING, np.searchsorted(borders, numbers))
    assert isinstance(cuts, LevelCuts)
    place = {level: at for at, level in enumerate(cuts.levels[:PARTS])}
    if isinstance(values, Encoded):
        table = np.array([*(place.get(level, PARTS) for level in values.levels), MISSING])
        return np.asarray(table[np.asarray(values.codes)])
    listed = np.asarray(values).tolist()
    found = {value: place.get(level_text(value), PARTS) for value in set(listed) if value is not None}
    return np.array([MISSING if value is None or value != value else found[value] for value in listed], np.intp)


def _borders(cuts: NumberCuts) -> Array:
    """Return at most PARTS - 1 of the cuts, evenly chosen: each parts about as many rows of the reference."""
    every = np.asarray(cuts.cuts)
    if len(every) < PARTS:
        return every
    return np.asarray(every[np.linspace(0, len(every) - 1, PARTS - 1).round().astype(int)])
