"""What the figures of a model show, as numbers: they are drawn from these, and these are written beside them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

Array = npt.NDArray[Any]
Points = dict[str, Any]
#: More points of a curve, or of a cloud, show nothing more.
MAX_CURVE: Final = 400
MAX_CLOUD: Final = 1_500
BINS: Final = 10
RESIDUAL_BINS: Final = 50
#: Of several classes, the most frequent ones get a curve.
MAX_CLASSES: Final = 10


def figure_points(
    *, task: str, labels: Array, predictions: Array, probabilities: Array | None, classes: Array
) -> dict[str, Points]:
    """Return what each figure of the task shows, none where an output is not a number."""
    if not np.all(np.isfinite(predictions if probabilities is None else probabilities)):
        return {}
    if task == "regression":
        return _of_regression(labels, predictions)
    assert probabilities is not None
    if task == "multiclass":
        return _of_classes(labels, predictions, probabilities, classes)
    if len(np.unique(labels)) < 2:
        return {}
    return _of_binary(np.asarray(labels, dtype=int), probabilities[:, 1])


def _of_binary(labels: Array, positive: Array) -> dict[str, Points]:
    precision, recall, _ = sk.precision_recall_curve(labels, positive)
    found = np.cumsum(labels[np.argsort(-positive, kind="stable")]) / labels.sum()
    return {
        "roc": {"curves": [_roc("1", labels, positive)]},
        "precision_recall": _thin(recall=recall, precision=precision) | {"share_of_positives": float(labels.mean())},
        "calibration": _calibration(labels, positive),
        "gain": _thin(share_of_rows=np.arange(1, len(found) + 1) / len(found), share_of_positives=found),
    }


def _of_classes(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> dict[str, Points]:
    """One class against all others for the ROC, and whether the predicted class is as probable as it was said to be."""
    hits = [np.asarray(labels == one, dtype=int) for one in classes]
    frequent = sorted(range(len(classes)), key=lambda place: -int(hits[place].sum()))[:MAX_CLASSES]
    curves = [
        _roc(str(classes[place]), hits[place], probabilities[:, place])
        for place in sorted(frequent)
        if 0 < hits[place].sum() < len(labels)
    ]
    # A class that train did not have is in no row of the matrix.
    known = np.isin(labels, classes)
    shares = (
        sk.confusion_matrix(labels[known], predictions[known], labels=classes, normalize="true") if known.any() else []
    )
    return {
        "confusion": {"classes": [str(one) for one in classes], "shares": np.asarray(shares).tolist()},
        "roc": {"curves": curves},
        "calibration": _calibration(np.asarray(predictions == labels, dtype=int), probabilities.max(axis=1)),
    }


def _of_regression(labels: Array, predictions: Array) -> dict[str, Points]:
    actual, predicted = (np.asarray(values, dtype=np.float64) for values in (labels, predictions))
    step = max(1, -(-len(actual) // MAX_CLOUD))
    rows, edges = np.histogram(actual - predicted, bins=RESIDUAL_BINS)
    cloud = {"actual": actual[::step].tolist(), "predicted": predicted[::step].tolist()}
    return {
        "predicted_actual": cloud,
        "residuals": {"edges": edges.tolist(), "rows": rows.tolist()},
        "residuals_predicted": {
            "predicted": cloud["predicted"],
            "residual": (actual - predicted)[::step].tolist(),
        },
    }


def _roc(name: str, labels: Array, positive: Array) -> Points:
    false_rate, true_rate, _ = sk.roc_curve(labels, positive)
    curve = _thin(false_positive_rate=false_rate, true_positive_rate=true_rate)
    return {"class": name, "auc": float(sk.auc(false_rate, true_rate)), **curve}


def _calibration(hits: Array, said: Array) -> Points:
    """Return mean probability and observed share in bins of equally many rows."""
    edges = np.unique(np.quantile(said, np.linspace(0, 1, BINS + 1)))
    bins = np.clip(np.digitize(said, edges[1:-1]), 0, max(len(edges) - 2, 0))
    groups = [bins == index for index in np.unique(bins)]
    return {
        "probability": [float(said[group].mean()) for group in groups],
        "share": [float(hits[group].mean()) for group in groups],
        "rows": [int(group.sum()) for group in groups],
    }


def _thin(**series: Array) -> Points:
    """Return points of a curve, its two ends among them."""
    length = len(next(iter(series.values())))
    chosen = np.unique(np.linspace(0, length - 1, min(length, MAX_CURVE)).round().astype(int))
    return {name: values[chosen].tolist() for name, values in series.items()}
