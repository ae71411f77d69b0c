"""Resample whole blocks of rows: rows of one day, or of one entity, say less than as many independent ones.

A bootstrap over single rows takes each for independent and gives intervals that are too narrow where rows of one day
vary together (weather, a campaign); drawing whole blocks keeps what is common to them (Davison & Hinkley 1997,
Bootstrap Methods and their Application, section 3.8; Künsch 1989, Annals of Statistics 17). Rows that are independent
are drawn in random groups: the mean of a group varies as that of its rows, and the work no longer grows with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Unit = Literal["day", "entity", "row"]
By = Literal["auto", "day", "entity", "row"]
#: Of so many blocks the bootstrap's standard error is itself uncertain by 1 / sqrt(2 * blocks), 5 %.
MAX_BLOCKS: Final = 200
#: With fewer days, resampling them says too little about how much they vary.
MIN_DAYS: Final = 20
ROUNDS: Final = 1_000


@dataclass(frozen=True)
class Blocks:
    """Which block each row belongs to, shape (n_rows,), values 0 to `count` - 1, and what a block holds together."""

    of_row: Array
    count: int
    unit: Unit

    @property
    def words(self) -> str:
        """What was resampled, as a reader is told."""
        return {"day": "whole days", "entity": "whole entities", "row": "rows"}[self.unit]


def make_blocks(rows: int, *, by: By, times: Array | None = None, entities: Array | None = None) -> Blocks:
    """Return the blocks of some rows: `auto` takes days where there are at least MIN_DAYS of them, else rows.

    Parameters
    ----------
    times : event times, shape (rows,). entities : any value that is equal for rows of one entity, shape (rows,).
    """
    if by == "entity" and entities is not None and rows:
        return _grouped(np.unique(entities, return_inverse=True)[1], "entity", in_order=False)
    if by in ("auto", "day") and times is not None and rows:
        days = np.unique(np.asarray(times).astype("datetime64[D]"), return_inverse=True)[1]
        if by == "day" or days.max() + 1 >= MIN_DAYS:
            return _grouped(days, "day", in_order=True)
    return _grouped(np.arange(rows), "row", in_order=False)


def _grouped(places: Array, unit: Unit, *, in_order: bool) -> Blocks:
    """Return at most MAX_BLOCKS blocks: neighbouring days together, entities and rows at random."""
    units = int(places.max()) + 1 if len(places) else 0
    if units <= MAX_BLOCKS:
        return Blocks(places, units, unit)
    group = np.arange(units) * MAX_BLOCKS // units
    if not in_order:
        group = np.random.default_rng(units).permutation(group)
    return Blocks(group[places], MAX_BLOCKS, unit)


def draw_weights(blocks: Blocks, *, seed: int, rounds: int = ROUNDS) -> Array:
    """Return how often each block is drawn in each round, shape (rounds, blocks); the same for the same seed."""
    if not blocks.count:
        return np.zeros((rounds, 0))
    generator = np.random.default_rng(seed)
    return generator.multinomial(blocks.count, np.full(blocks.count, 1 / blocks.count), rounds).astype(np.float64)
