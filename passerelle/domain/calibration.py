"""Probabilities that mean what they say: maps from a model's shares to observed ones. NumPy only: the server uses it.

Sigmoid: Platt 1999, on log-odds. Isotonic: Zadrozny, Elkan 2002, as is the way to several classes: one map per class,
then normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Method = Literal["sigmoid", "isotonic"]
Array = npt.NDArray[Any]
#: Nearer to certainty, the log-odds of a probability in single precision are noise.
CLIP: Final = 1e-7


def log_odds(shares: Array) -> Array:
    """Return the log-odds of shares, finite for 0 and 1."""
    clipped = np.clip(np.asarray(shares, dtype=np.float64), CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def apply_maps(shares: Array, method: Method, maps: Sequence[Array]) -> Array:
    """Return calibrated shares of shape (n_rows, n_classes).

    Parameters
    ----------
    shares : the model's, columns in the order of its classes.
    maps : one for the second of two classes, else one per class, of shape (2, n): slope and intercept of log-odds, or
        the corners of a rising line.
    """
    if len(maps) == 1:
        positive = _mapped(shares[:, 1], method, maps[0])
        return np.column_stack([1 - positive, positive])
    mapped = np.column_stack([_mapped(shares[:, place], method, line) for place, line in enumerate(maps)])
    totals = mapped.sum(axis=1, keepdims=True)
    even = np.full_like(mapped, 1 / len(maps))
    return np.asarray(np.divide(mapped, totals, out=even, where=totals > 0))


def _mapped(shares: Array, method: Method, line: Array) -> Array:
    if method == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-(line[0, 0] * log_odds(shares) + line[1, 0]))))
    return np.asarray(np.interp(np.asarray(shares, dtype=np.float64), line[0], line[1]))
