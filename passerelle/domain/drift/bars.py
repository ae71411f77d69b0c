"""Two windows of a column side by side, as a picture of a few hundred characters: SVG that any page can hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.cuts import LevelCuts, NumberCuts
from passerelle.domain.drift.layout import Cuts
from passerelle.domain.drift.levels import LevelCounts
from passerelle.domain.drift.numbers import NumberCounts
from passerelle.domain.drift.profile import Counts
from passerelle.domain.drift.worded import number

Array = npt.NDArray[Any]

_WIDTH: Final = 260
_HEIGHT: Final = 56
_BARS: Final = 16


def bars(cuts: Cuts, current: Counts, reference: Counts) -> str:
    """Return how a column's rows are spread, now (filled) and in the training data (outlined); "" where none has any.

    Numbers are shown in up to sixteen parts that hold equal shares of the training data, so that what moved shows as
    bars above or below one height; levels in the order of their frequency there, all others last.
    """
    if isinstance(cuts, NumberCuts) and isinstance(current, NumberCounts) and isinstance(reference, NumberCounts):
        names, now, before = _of_numbers(cuts, current, reference)
    elif isinstance(cuts, LevelCuts) and isinstance(current, LevelCounts) and isinstance(reference, LevelCounts):
        names, now, before = _of_levels(cuts, current, reference)
    else:
        return ""
    if not now.sum() or not before.sum():
        return ""
    return _svg(names, now / now.sum(), before / before.sum())


def _of_numbers(cuts: NumberCuts, current: NumberCounts, reference: NumberCounts) -> tuple[Sequence[str], Array, Array]:
    total = max(1, reference.finite)
    middle = np.cumsum(reference.cells) - reference.cells / 2
    part = np.minimum(_BARS - 1, middle * _BARS // total).astype(int)
    held = np.unique(part)
    ends = [*cuts.cuts, np.inf]
    names = [f"up to {number(float(ends[int(np.flatnonzero(part == each)[-1])]))}" for each in held]
    if len(held) and not np.isfinite(ends[int(np.flatnonzero(part == held[-1])[-1])]):
        names[-1] = f"above {number(float(ends[int(np.flatnonzero(part == held[-1])[0]) - 1]))}" if cuts.cuts else "all"
    now, before = (np.array([cells[part == each].sum() for each in held]) for cells in (current.cells, reference.cells))
    return names, now, before


def _of_levels(cuts: LevelCuts, current: LevelCounts, reference: LevelCounts) -> tuple[Sequence[str], Array, Array]:
    shown = min(len(cuts.levels), _BARS - 1)
    now, before = (np.append(each[:shown], each[shown:].sum()) for each in (current.all_cells, reference.all_cells))
    return [*cuts.levels[:shown], "all others"], now, before


def _svg(names: Sequence[str], now: Array, before: Array) -> str:
    highest = float(max(now.max(), before.max()))
    told = zip(names, now, before, strict=True)
    label = "; ".join(f"{name}: {new:.1%} (training: {old:.1%})" for name, new, old in told)
    drawn = "".join(_drawn(names, now / highest, before / highest, now, before))
    return (
        f'<svg class="bars" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )


def _drawn(names: Sequence[str], now: Array, before: Array, shares: Array, shares_before: Array) -> Iterator[str]:
    step = _WIDTH / len(names)
    for at, name in enumerate(names):
        x, width = at * step + 1, max(1.0, step - 2)
        new, old = (float(height) * (_HEIGHT - 2) for height in (now[at], before[at]))
        told = escape(f"{name}: {shares[at]:.1%} (training: {shares_before[at]:.1%})")
        yield (
            f'<g><title>{told}</title><rect class="now" x="{x:.1f}" y="{_HEIGHT - new:.1f}" width="{width:.1f}" '
            f'height="{new:.1f}"/><rect class="before" x="{x:.1f}" y="{_HEIGHT - old:.1f}" width="{width:.1f}" '
            f'height="{old:.1f}"/></g>'
        )
