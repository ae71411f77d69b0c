"""From probability to decision: the threshold of greatest value, and what decisions are worth."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.project.model import Value

Array = npt.NDArray[Any]
#: The threshold of a model that had better never act.
NEVER: Final = 1.0


def row_values(value: Value, labels: Array, positive: Array, threshold: float) -> Array:
    """Return the money that deciding at this threshold makes on each row, shape (n_rows,)."""
    decided, actual = positive >= threshold, labels == 1
    right = np.where(actual, value.true_positive, value.false_positive)
    return np.where(decided, right, np.where(actual, value.false_negative, value.true_negative))


def total_value(value: Value, labels: Array, positive: Array, threshold: float) -> float:
    """Return the money that deciding at this threshold would have made on these rows."""
    return float(np.sum(row_values(value, labels, positive, threshold)))


def decides(value: Value | None) -> bool:
    """Return whether a cost matrix tells acting from not acting: one of zeros, or of a regression, does not."""
    return value is not None and value.tells_decisions_apart


def ideal_threshold(value: Value) -> float | None:
    """Return the threshold for probabilities that are exactly right, None where there is none between 0 and 1.

    Act where p * TP + (1 - p) * FP >= p * FN + (1 - p) * TN (Elkan 2001, The Foundations of Cost-Sensitive Learning).
    """
    miss, alarm = value.true_positive - value.false_negative, value.true_negative - value.false_positive
    return alarm / (alarm + miss) if min(miss, alarm) >= 0 < alarm + miss else None


def best_threshold(value: Value | None, labels: Array, positive: Array, *, share: float | None = None) -> float:
    """Return the threshold of greatest value on these rows, or of greatest F1 when no value is declared.

    Every threshold that changes a decision is tried: those between two neighbouring probabilities, below the lowest
    (always act), and 1 (never act). Of several that are equally good, the closest to `ideal_threshold`, or to 0.5.

    Parameters
    ----------
    labels : 0 or 1, shape (n_rows,). positive : probability of the positive class, shape (n_rows,).
    share : of positive rows in what the model learnt from. The rows count as if it were theirs, too (Elkan 2001,
        theorem 2): how often the newest rows happen to be positive passes, with a season, sooner than a model.
    """
    known = np.isfinite(positive)
    levels, places = np.unique(positive[known], return_inverse=True)
    if not len(levels):
        return 0.5
    actual = labels[known] == 1
    hits, alarms = (np.bincount(places, chosen, len(levels)) for chosen in (actual, ~actual))
    if share is not None and 0 < share < 1 and 0 < hits.sum() < len(places):
        hits, alarms = (part * of * len(places) / part.sum() for part, of in ((hits, share), (alarms, 1 - share)))
    # Acting from level i on: everything at and above it. The last entry acts on nothing.
    hit, alarm = (np.append(np.cumsum(counts[::-1])[::-1], 0.0) for counts in (hits, alarms))
    if value is not None and decides(value):
        gained = (value.true_positive - value.false_negative) * hit + (
            value.false_positive - value.true_negative
        ) * alarm
        aim = ideal_threshold(value)
    else:
        gained, aim = 2 * hit / np.maximum(hit + alarm + hit[0], 1e-9), None
    good = np.flatnonzero(gained >= np.max(gained) - 1e-9 * max(1.0, float(np.max(np.abs(gained)))))
    lower, upper = np.append(0.0, levels), np.append(levels, max(NEVER, np.nextafter(levels[-1], 2)))
    wanted = 0.5 if aim is None else aim
    best = min(good, key=lambda place: abs(np.clip(wanted, lower[place], upper[place]) - wanted))
    return _within(float(lower[best]), float(upper[best]), aim, never=bool(best == len(levels)))


def _within(lower: float, upper: float, aim: float | None, *, never: bool) -> float:
    """Return a threshold above `lower` and not above `upper`: all of them decide alike on the rows seen."""
    if aim is not None and lower < aim <= upper:
        return aim
    middle = (lower + upper) / 2
    return upper if never or middle <= lower else middle
