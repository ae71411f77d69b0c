"""What moved, in words: which part of a column has more rows than before, and which has fewer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import NumberCuts
from passerelle.domain.drift.numbers import NumberCounts

Array = npt.NDArray[Any]

_NAMED: Final = 3


def share_in_words(meaning: str, now: float, before: float, named: Sequence[str] = ()) -> str:
    """Return a share of rows beside what it was, and up to three things that it is about."""
    about = f": {', '.join(named[:_NAMED])}{' …' if len(named) > _NAMED else ''}" if named else ""
    return f"{_percent(now)} of rows {meaning} (training: {_percent(before)}){about}"


def cells_in_words(cuts: NumberCuts, current: NumberCounts, before: NumberCounts) -> str:
    """Return the stretch of numbers that gained most rows, the one that lost most, and both means.

    A stretch is a run of cells; the one that gained most is the run of the greatest sum of changes (Kadane's).
    """
    change = current.cells / max(1, current.finite) - before.cells / max(1, before.finite)
    parts = [text for text in (_stretch(cuts, change, "+"), _stretch(cuts, -change, "−")) if text]
    mean, mean_before = current.mean(cuts), before.mean(cuts)
    if mean is not None and mean_before is not None:
        parts.append(f"mean {number(mean)} (training: {number(mean_before)})")
    return "; ".join(parts)


def _stretch(cuts: NumberCuts, change: Array, sign: str) -> str:
    best, begin, end = 0.0, 0, 0
    total, start = 0.0, 0
    for at, value in enumerate(change):
        if total <= 0:
            total, start = 0.0, at
        total += float(value)
        if total > best:
            best, begin, end = total, start, at
    if round(best, 3) == 0:
        return ""
    return f"{sign}{_percent(best)} of rows {_between(cuts, begin, end)}"


def _between(cuts: NumberCuts, begin: int, end: int) -> str:
    """Return which numbers a run of cells holds; the first cell begins nowhere, the last one ends nowhere."""
    low = cuts.cuts[begin - 1] if begin else None
    high = cuts.cuts[end] if end < len(cuts.cuts) else None
    if low is None and high is None:
        return "anywhere"
    if low is None:
        return f"up to {number(float(high or 0.0))}"
    if high is None:
        return f"above {number(low)}"
    if begin == end == 1:
        return f"at {number(high)}"
    return f"above {number(low)} up to {number(high)}" if begin > 1 else f"up to {number(high)}"


def levels_in_words(levels: Sequence[str], current: Array, before: Array) -> str:
    """Return the levels that gained or lost most rows; the last count is of all others."""
    change = current / max(1, current.sum()) - before / max(1, before.sum())
    named = zip((*levels, "all others"), change.tolist(), strict=True)
    most = sorted(named, key=lambda found: -abs(found[1]))[:_NAMED]
    return ", ".join(f"{level} {'+' if by > 0 else '−'}{_percent(abs(by))}" for level, by in most if round(by, 3))


def parts_in_words(borders: Sequence[Any], current: Array, before: Array, *, ordered: bool) -> str:
    """Return the few parts of a column that gained or lost most rows: ranges of numbers, or levels."""
    change = current / max(1, current.sum()) - before / max(1, before.sum())
    names = _ranges(borders) if ordered else [*borders, *("no other",) * (len(change) - 1 - len(borders)), "all others"]
    most = sorted(zip(names, change.tolist(), strict=False), key=lambda found: -abs(found[1]))[:_NAMED]
    told = [(name, f"{'+' if by > 0 else '−'}{_percent(abs(by))}") for name, by in most if round(by, 3)]
    if ordered:
        return "; ".join(f"{by} of rows {name}" for name, by in told)
    return ", ".join(f"{name} {by}" for name, by in told)


def _ranges(borders: Sequence[float]) -> list[str]:
    named = [number(border) for border in borders]
    between = [f"above {low} up to {high}" for low, high in pairwise(named)]
    return [f"up to {named[0]}", *between, f"above {named[-1]}"]


def number(value: float) -> str:
    """Return a number as people write it: four figures that count, no exponent where it is short without."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.3e}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 or share == 0 else f"{share:.2%}"
