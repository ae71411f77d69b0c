"""Partial dependence (Friedman 2001, Annals of Statistics 29) with individual conditional expectation (Goldstein,
Kapelner, Bleich, Pitkin 2015, arXiv:1309.6392): each row's answer as one of its columns moves, and the mean of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from passerelle.contracts.bundle import SignatureColumn
from passerelle.domain.explain.contributions import Floats
from passerelle.domain.explain.kernel import Model

GRID_POINTS: Final = 20
MAX_LEVELS: Final = 12
#: scikit-learn's bounds of a grid: the outer 5 % are few rows and make the rest unreadable.
EDGES: Final = (0.05, 0.95)
_PART_VALUES: Final = {
    "weekday": range(7),
    "hour": range(24),
    "month": range(1, 13),
    "day_of_year": range(1, 366, 14),
}


@dataclass(frozen=True)
class Dependence:
    """Answers as one column, or one part of a datetime, moves: `rows` has shape (n_rows, n_grid, n_outputs)."""

    column: str
    part: str | None
    grid: tuple[Any, ...]
    rows: Floats

    @property
    def mean(self) -> Floats:
        """The partial dependence, shape (n_grid, n_outputs)."""
        return np.asarray(self.rows.mean(axis=0))


def dependences(
    model: Model, frame: pd.DataFrame, column: SignatureColumn, time_parts: Sequence[str] = ()
) -> Iterator[Dependence]:
    """Yield the dependence on a column; on each part of a datetime that models see; none of a column of one value."""
    if column.type == "datetime":
        for part in time_parts:
            numbers = tuple(_PART_VALUES[part])
            yield Dependence(column.name, part, numbers, _moved(model, frame, column, numbers, part))
        return
    grid: tuple[Any, ...] = (
        _levels(frame[column.name]) if column.type in ("category", "text") else _numbers(frame[column.name])
    )
    if len(grid) > 1:
        yield Dependence(column.name, None, grid, _moved(model, frame, column, grid, None))


def _moved(
    model: Model, frame: pd.DataFrame, column: SignatureColumn, grid: tuple[Any, ...], part: str | None
) -> Floats:
    """Return the answers for every row at every point of the grid, asked all at once."""
    name = column.name
    copies = []
    for value in grid:
        copies.append(frame.assign(**{name: value if part is None else at_part(frame[name], part, value)}))
    answers = model(pd.concat(copies, ignore_index=True))
    return np.swapaxes(answers.reshape(len(grid), len(frame), -1), 0, 1)


def _numbers(values: pd.Series[Any]) -> tuple[float, ...]:
    """Return all values where they are few, else points at equal distances between the 5 % and 95 % quantiles."""
    known = np.unique(values.dropna().to_numpy(dtype=np.float64))
    if len(known) <= GRID_POINTS:
        return tuple(known.tolist())
    low, high = np.quantile(values.dropna().to_numpy(dtype=np.float64), EDGES)
    return tuple(np.linspace(low, high, GRID_POINTS).tolist()) if low < high else (float(low),)


def _levels(values: pd.Series[Any]) -> tuple[str, ...]:
    """Return the most frequent levels, sorted by how frequent they are, then by name."""
    counts = values.dropna().value_counts()
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return tuple(str(level) for level, _ in ranked[:MAX_LEVELS])


def at_part(moments: pd.Series[Any], part: str, value: int) -> Any:
    """Return the moments with one part changed and, as far as the calendar allows, nothing else."""
    if part == "weekday":
        return moments + pd.to_timedelta(value - moments.dt.dayofweek, unit="D")
    if part == "hour":
        return moments + pd.to_timedelta(value - moments.dt.hour, unit="h")
    if part == "day_of_year":
        return moments + pd.to_timedelta(value - moments.dt.dayofyear, unit="D")
    day = moments.dt.day.clip(upper=28)
    first = moments.dt.to_period("Y").dt.start_time + (moments - moments.dt.normalize())
    whole_months = first.dt.to_period("M").dt.to_timestamp() + pd.offsets.MonthBegin(value - 1 if value > 1 else 0)
    return whole_months + pd.to_timedelta(day - 1, unit="D") + (moments - moments.dt.normalize())
