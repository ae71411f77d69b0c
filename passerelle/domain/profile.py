"""The reference profile: a small picture of the training data, from which drift is seen without the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.bundle import SignatureColumn

BINS: Final = 20
TOP_LEVELS: Final = 50


def profile_frame(frame: pd.DataFrame, inputs: Sequence[SignatureColumn]) -> dict[str, Any]:
    """Return, per column, its rows, missing values, and quantile bins (numbers) or most frequent levels (texts)."""
    return {
        "rows": len(frame),
        "columns": {column.name: _profile(frame[column.name], column) for column in inputs},
    }


def profile_labels(labels: npt.NDArray[Any], task: str) -> dict[str, Any]:
    """Return what the baseline predicts from: the classes' shares, or the median."""
    if task == "regression":
        return {"median": float(np.median(labels)), "mean": float(np.mean(labels)), "std": float(np.std(labels))}
    classes, counts = np.unique(labels, return_counts=True)
    return {"shares": {str(name): float(n / len(labels)) for name, n in zip(classes, counts, strict=True)}}


def _profile(values: pd.Series[Any], column: SignatureColumn) -> dict[str, Any]:
    missing = int(values.isna().sum())
    if column.type in ("category", "text"):
        found = values.value_counts()
        top = {str(level): int(count) for level, count in found.head(TOP_LEVELS).items()}
        return {"type": column.type, "missing": missing, "distinct": len(found), "levels": top}
    numbers: npt.NDArray[Any] = values.dropna().to_numpy()
    if column.type == "datetime":
        numbers = numbers.astype("datetime64[s]").astype(np.int64)
    if not len(numbers):
        return {"type": column.type, "missing": missing, "edges": [], "counts": []}
    edges = np.unique(np.quantile(numbers.astype(np.float64), np.linspace(0, 1, BINS + 1)))
    counts = np.histogram(numbers, bins=edges if len(edges) > 1 else 1)[0]
    return {
        "type": column.type,
        "missing": missing,
        "mean": float(np.mean(numbers)),
        "std": float(np.std(numbers)),
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
    }
