"""The metrics a task is judged by. Pure functions of labels and predictions; names are those of `METRICS`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

Array = npt.NDArray[Any]


def score_all(
    task: str, labels: Array, predictions: Array, probabilities: Array | None, classes: Array
) -> dict[str, float]:
    """Return every metric of a task that these rows allow; one that is undefined on them is left out.

    Parameters
    ----------
    labels, predictions : shape (n_rows,); class names or 0/1, numbers for a regression.
    probabilities : shape (n_rows, n_classes), columns in the order of `classes`; None for a regression.
    """
    found: dict[str, float] = {}
    for name in _NAMES[task]:
        value = score(name, task, labels, predictions, probabilities, classes)
        if value is not None and np.isfinite(value):
            found[name] = value
    return found


def score(
    name: str, task: str, labels: Array, predictions: Array, probabilities: Array | None, classes: Array
) -> float | None:
    """Return one metric, None where it is undefined: ROC AUC of a single class, outputs that are not numbers."""
    outputs = predictions if probabilities is None else probabilities
    if len(labels) == 0 or not np.all(np.isfinite(outputs)):
        return None
    if task == "regression":
        return float(_REGRESSION[name](labels, predictions))
    assert probabilities is not None
    if name in _OF_CLASSES:
        return float(_OF_CLASSES[name](labels, predictions))
    if task == "binary":
        return _binary(name, np.asarray(labels, dtype=int), probabilities[:, 1])
    return _multiclass(name, labels, probabilities, classes)


def _binary(name: str, labels: Array, positive: Array) -> float | None:
    if name in ("roc_auc", "average_precision") and len(np.unique(labels)) < 2:
        return None
    if name == "roc_auc":
        return float(sk.roc_auc_score(labels, positive))
    if name == "average_precision":
        return float(sk.average_precision_score(labels, positive))
    if name == "log_loss":
        return float(sk.log_loss(labels, np.clip(positive, 1e-15, 1 - 1e-15), labels=[0, 1]))
    if name == "brier":
        return float(np.mean((positive - labels) ** 2))
    return float(sk.f1_score(labels, positive >= 0.5, zero_division=0.0))


def _multiclass(name: str, labels: Array, probabilities: Array, classes: Array) -> float | None:
    if name == "roc_auc":
        if set(np.unique(labels)) != set(classes):
            return None
        if len(classes) == 2:
            return float(sk.roc_auc_score(labels == classes[1], probabilities[:, 1]))
        return float(sk.roc_auc_score(labels, probabilities, multi_class="ovr", labels=classes))
    if not set(np.unique(labels)) <= set(classes):  # a class that came after training has no probability
        return None
    return float(sk.log_loss(labels, probabilities, labels=classes))


_REGRESSION: Final = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "median_absolute_error": sk.median_absolute_error,
}
_OF_CLASSES: Final = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "macro_f1": lambda labels, predictions: sk.f1_score(labels, predictions, average="macro", zero_division=0.0),
}
_NAMES: Final = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "f1", "accuracy", "balanced_accuracy"),
    "multiclass": ("roc_auc", "log_loss", "macro_f1", "accuracy", "balanced_accuracy"),
    "regression": ("rmse", "mae", "r2", "median_absolute_error"),
}
