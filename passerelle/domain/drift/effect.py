"""How much moved: an effect that means the same for every column, with its interval, and freed of sampling noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.tested import neighbours, rarest_together

Array = npt.NDArray[Any]

_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A share of rows, 0 to 1, between the bounds of its 95 % interval."""

    value: float
    lower: float
    upper: float


def moved_share(current: Array, reference: Array, *, ordered: bool) -> Effect:
    """Return the share of rows that would have to move to another cell for both windows to agree.

    That is the total variation distance; for a shift of a single-peaked distribution it is also the Kolmogorov-Smirnov
    distance. What chance alone gives windows of this size, E|difference| under one population, is taken off in squares;
    the interval is the delta method's, for the set of cells that gained.

    Parameters
    ----------
    current, reference : counts of the cells, shape (k,) each; cells of few rows are taken together first.
    ordered : whether neighbouring cells are neighbours.
    """
    n, m = float(current.sum()), float(reference.sum())
    if not n or not m:
        return Effect(value=0.0, lower=0.0, upper=1.0)
    now, before = (neighbours if ordered else rarest_together)(current, reference)
    pooled = (now + before) / (n + m)
    now, before = now / n, before / m
    gained = now > before
    seen = float((now - before)[gained].sum())
    chance = float(np.sqrt(2 / math.pi * pooled * np.maximum(0, 1 - pooled) * (1 / n + 1 / m)).sum()) / 2
    value = math.sqrt(max(0.0, seen**2 - chance**2))
    some, other = float(now[gained].sum()), float(before[gained].sum())
    half = _NORMAL_95 * math.sqrt(some * (1 - some) / n + other * (1 - other) / m)
    return Effect(value=value, lower=max(0.0, value - half), upper=min(1.0, value + half))


def share_change(hits: int, rows: int, reference_hits: int, reference_rows: int) -> Effect:
    """Return how far a share is from the reference's, without its sign, and the interval of that (Newcombe 1998).

    Newcombe, Statistics in Medicine 17: the two score intervals of Wilson, joined; it holds at 0 and 1, too.
    """
    if not rows or not reference_rows:
        return Effect(value=0.0, lower=0.0, upper=1.0)
    now, before = hits / rows, reference_hits / reference_rows
    (low, high), (low_before, high_before) = _wilson(now, rows), _wilson(before, reference_rows)
    change = now - before
    lower = change - math.sqrt((now - low) ** 2 + (high_before - before) ** 2)
    upper = change + math.sqrt((high - now) ** 2 + (before - low_before) ** 2)
    nearest = 0.0 if lower <= 0 <= upper else min(abs(lower), abs(upper))
    return Effect(value=abs(change), lower=nearest, upper=max(abs(lower), abs(upper)))


def _wilson(share: float, rows: int) -> tuple[float, float]:
    z = _NORMAL_95
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return min(share, middle - half), max(share, middle + half)
