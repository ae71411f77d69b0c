"""From probability to decision: the threshold of greatest value."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.project.model import Value

STEPS: Final = 199


def total_value(value: Value, labels: npt.NDArray[Any], positive: npt.NDArray[Any], threshold: float) -> float:
    """Return the money that deciding at this threshold would have made on these rows."""
    decided = positive >= threshold
    actual = labels == 1
    return float(
        value.true_positive * np.sum(decided & actual)
        + value.false_positive * np.sum(decided & ~actual)
        + value.true_negative * np.sum(~decided & ~actual)
        + value.false_negative * np.sum(~decided & actual)
    )


def best_threshold(value: Value | None, labels: npt.NDArray[Any], positive: npt.NDArray[Any]) -> float:
    """Return the threshold of greatest value on these rows, or of greatest F1 when no value is declared.

    Parameters
    ----------
    labels : 0 or 1, shape (n_rows,). positive : probability of the positive class, shape (n_rows,).
    """
    thresholds = np.linspace(0.005, 0.995, STEPS)
    if value is not None and any(
        (value.true_positive, value.false_positive, value.true_negative, value.false_negative)
    ):
        gains = [total_value(value, labels, positive, threshold) for threshold in thresholds]
        return float(thresholds[int(np.argmax(gains))])
    actual = labels == 1
    decided = positive[None, :] >= thresholds[:, None]
    hits = np.sum(decided & actual, axis=1)
    f1 = 2 * hits / np.maximum(np.sum(decided, axis=1) + np.sum(actual), 1)
    return float(thresholds[int(np.argmax(f1))])
