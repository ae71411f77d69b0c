"""What moves all the time: a reference's own period, cut into windows and compared with the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from passerelle.domain.drift.cuts import LevelCuts
from passerelle.domain.drift.effect import moved_share
from passerelle.domain.drift.layout import pair_name
from passerelle.domain.drift.levels import LevelCounts, cells_beside
from passerelle.domain.drift.numbers import NumberCounts
from passerelle.domain.drift.pairs import dependence
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.segment_signals import groups, segment_move

#: Fewer windows say nothing of what is usual, and a window of fewer rows says little of itself.
WINDOWS: Final = 8
ROWS: Final = 50
#: One window in twenty of the period itself moved more.
_QUANTILE: Final = 0.95


def usual_moves(reference: Reference, windows: Iterable[Profile]) -> dict[str, float]:
    """Return, by column, the share of rows that its distribution moves in 95 of 100 windows of the reference's period.

    The day of the month moves nearly all rows of each day; that a window of one day moves them, too, is no news.
    Columns that move nothing are left out, and all are where there are fewer than `WINDOWS` windows of `ROWS` rows.
    """
    kept = [window for window in windows if window.rows >= ROWS]
    if len(kept) < WINDOWS:
        return {}
    moves: dict[str, list[float]] = {}
    for window in kept:
        for name, moved in (*_moves(reference, window), *_of_segments(reference, window)):
            moves.setdefault(name, []).append(moved)
    usual = {name: float(np.quantile(found, _QUANTILE)) for name, found in moves.items()}
    return {name: round(value, 4) for name, value in usual.items() if value >= 1e-4}


def _moves(reference: Reference, window: Profile) -> Iterator[tuple[str, float]]:
    whole = reference.profile
    for name, before in whole.columns.items():
        now, cuts = window.columns[name], reference.layout.columns[name]
        if isinstance(now, NumberCounts) and isinstance(before, NumberCounts):
            if now.finite and before.finite:
                yield name, moved_share(now.cells, before.cells, ordered=True).value
        elif not (isinstance(cuts, LevelCuts) and isinstance(now, LevelCounts) and isinstance(before, LevelCounts)):
            continue
        elif now.held and before.held:
            yield name, moved_share(*cells_beside(cuts, now, before), ordered=bool(cuts.classes)).value
    for pair, cells in whole.pairs.items():
        if window.pairs[pair].sum():
            yield pair_name(pair), dependence(window.pairs[pair], cells)[0].value


def _of_segments(reference: Reference, window: Profile) -> Iterator[tuple[str, float]]:
    for group in groups(reference, window):
        if group.in_parts:
            yield f"{group.segment}: {group.column}", segment_move(group).value
