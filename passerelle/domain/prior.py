"""What is known of a label without any feature: the baseline predicts from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def label_prior(labels: npt.NDArray[Any], task: str) -> dict[str, Any]:
    """Return the classes' shares, or median, mean and standard deviation."""
    if task == "regression":
        return {"median": float(np.median(labels)), "mean": float(np.mean(labels)), "std": float(np.std(labels))}
    classes, counts = np.unique(labels, return_counts=True)
    return {"shares": {str(name): float(n / len(labels)) for name, n in zip(classes, counts, strict=True)}}
