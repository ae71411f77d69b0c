"""Are probabilities what happens? Is a regression right on average?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.resampled import weighted_sums
from passerelle.domain.resampling import Blocks

Array = npt.NDArray[Any]
BINS: Final = 15
#: Fewer rows in a bin say too little of its rate.
_BIN_ROWS: Final = 50
#: One-sided 95 %.
_Z: Final = 1.645


@dataclass(frozen=True)
class Calibration:
    """How far off, at least how far with 95 % certainty, and what was said and seen on average."""

    error: float
    at_least: float
    said: float
    seen: float
    what: str


def calibration_of_probabilities(right: Array, probabilities: Array, blocks: Blocks, weights: Array) -> Calibration:
    """Return the root mean square distance of probability and rate over bins of equal size, without its bias.

    Where a model is calibrated perfectly, rates of bins still scatter around the probabilities, and the usual expected
    calibration error counts that as error. Their variance is subtracted (Kumar, Liang & Ma 2019, Verified Uncertainty
    Calibration, NeurIPS, section 4). Of several classes the most probable one is judged (top label).

    Parameters
    ----------
    right : whether the event came, or the most probable class was right, shape (rows,).
    """
    bins = max(1, min(BINS, len(right) // _BIN_ROWS))
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probabilities, side="right")
    columns = []
    for chosen in (place == one for one in range(len(edges) + 1)):
        columns += [chosen.astype(np.float64), chosen * probabilities, chosen * right]
    whole = _squared_error(weighted_sums(columns, blocks, np.ones((1, blocks.count))))[0]
    resampled = _squared_error(weighted_sums(columns, blocks, weights))
    at_least = whole - _Z * float(np.nanstd(resampled))
    return Calibration(
        error=max(0.0, whole) ** 0.5,
        at_least=max(0.0, at_least) ** 0.5,
        said=float(np.mean(probabilities)),
        seen=float(np.mean(right)),
        what="probabilities",
    )


def _squared_error(sums: Array) -> Array:
    rows, said, seen = sums[0::3], sums[1::3], sums[2::3]
    known = rows >= 2
    count = np.where(known, rows, 2)
    rate = seen / count
    squared = (said / count - rate) ** 2 - rate * (1 - rate) / (count - 1)
    return np.asarray(np.sum(np.where(known, squared * rows, 0.0), axis=0) / np.sum(rows, axis=0))


def bias_of_predictions(labels: Array, predictions: Array, blocks: Blocks, weights: Array) -> Calibration | None:
    """Return the mean error of a regression in standard deviations of the label, None where all labels are equal."""
    spread = float(np.std(labels))
    if spread == 0:
        return None
    errors = (predictions - labels) / spread
    rows, total = weighted_sums([np.ones(len(errors)), errors], blocks, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        scatter = float(np.nanstd(total / rows))
    error = abs(float(np.mean(errors)))
    return Calibration(
        error=error,
        at_least=max(0.0, error - _Z * scatter),
        said=float(np.mean(predictions)),
        seen=float(np.mean(labels)),
        what="predictions",
    )
