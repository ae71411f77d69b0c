"""Whether two columns still depend on each other as they did, whatever became of each alone."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.effect import Effect, moved_share
from passerelle.domain.drift.tails import chi_square_tail

Array = npt.NDArray[Any]

_ROUNDS: Final = 50
_ROWS_PER_CELL: Final = 10


def dependence(current: Array, reference: Array) -> tuple[Effect, float]:
    """Return how much of a table moved besides its margins, and the p-value of nothing having.

    The reference's table is fitted to the current margins, which keeps its odds ratios (iterative proportional fitting,
    Deming & Stephan 1940); what is left is compared by chi-square of (r - 1)(c - 1) degrees of freedom, and as the
    share of rows that moved. Of tables with few rows, parts are taken together, two and two.

    Parameters
    ----------
    current, reference : counts, shape (r, c) each, both of at least one row.
    """
    kept_rows = (current.sum(1) > 0) & (reference.sum(1) > 0)
    kept_columns = (current.sum(0) > 0) & (reference.sum(0) > 0)
    now, before = (table[kept_rows][:, kept_columns].astype(np.float64) for table in (current, reference))
    n, m = float(now.sum()), float(before.sum())
    if not n or not m or min(now.shape) < 2:
        return Effect(value=0.0, lower=0.0, upper=1.0), 1.0
    if min(n, m) < _ROWS_PER_CELL * now.size:
        now, before = _halved(now), _halved(before)
    freedom = (now.shape[0] - 1) * (now.shape[1] - 1)
    # Half a row in every cell keeps an empty one from fixing the fit (Agresti 2013, section 10.6).
    fitted = _fit(before + 0.5, now.sum(1), now.sum(0))
    # A fitted cell is as uncertain, in proportion, as the reference's cell that it was made of.
    value = float(((now - fitted) ** 2 / (fitted + fitted**2 / (before + 0.5))).sum())
    p_value = chi_square_tail(value, freedom)
    effect = moved_share(now.ravel(), np.rint(fitted.ravel() * m / n), ordered=False)
    return effect, p_value


def _halved(table: Array) -> Array:
    """Return a table of two by two: the first half of the parts and the second, either way."""
    sides = [0, 1 + (table.shape[0] - 1) // 2], [0, 1 + (table.shape[1] - 1) // 2]
    found: Array = np.add.reduceat(np.add.reduceat(table, sides[0], axis=0), sides[1], axis=1)
    return found


def _fit(table: Array, rows: Array, columns: Array) -> Array:
    for _ in range(_ROUNDS):
        table = table * (rows / table.sum(1))[:, None]
        scale = columns / table.sum(0)
        table = table * scale
        if math.isclose(float(np.abs(scale - 1).max()), 0.0, abs_tol=1e-9):
            break
    return table
