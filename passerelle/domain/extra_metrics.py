"""What MLflow's evaluation does not compute by itself: calibration error, gain at k, and money."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.decision import total_value
from passerelle.domain.project.model import Value

Array = npt.NDArray[Any]
BINS: Final = 10
#: Of all rows, the most probable: as many as a team can look at.
SHARE: Final = 0.1


def extra_metrics(
    labels: Array, positive: Array, *, value: Value | None = None, threshold: float | None = None
) -> dict[str, float]:
    """Return the extra metrics of a binary task; money only where its value and the threshold are known.

    Parameters
    ----------
    labels : 0 or 1, shape (n_rows,). positive : probability of the positive class, shape (n_rows,).
    """
    found = {"calibration_error": calibration_error(labels, positive)}
    if np.any(labels == 1):
        found[f"gain_at_{SHARE:.0%}".replace("%", "_percent")] = gain_at(labels, positive)
    if value is not None and threshold is not None:
        found["value"] = total_value(value, labels, positive, threshold)
    return found


def calibration_error(labels: Array, positive: Array, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equally many rows (Naeini, Cooper, Hauskrecht 2015, AAAI)."""
    order = np.argsort(positive, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(float(np.mean(labels[part]) - np.mean(positive[part]))) for part in parts]
    return sum(gaps) / len(labels)


def gain_at(labels: Array, positive: Array, share: float = SHARE) -> float:
    """Return which share of all positives is among the most probable rows."""
    chosen = np.argsort(-positive, kind="stable")[: max(1, round(share * len(labels)))]
    return float(np.sum(labels[chosen]) / np.sum(labels))
