"""Figures of a model: matplotlib's Figure API only, so that nothing global is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn import metrics as sk

from passerelle.contracts.container import CurvePoint

Array = npt.NDArray[Any]
INK: Final = "#1f4e79"
ACCENT: Final = "#c55a11"
MAX_POINTS: Final = 3_000


def draw_all(
    folder: Path,
    *,
    task: str,
    labels: Array,
    predictions: Array,
    probabilities: Array | None,
    classes: Array,
    title: str,
) -> list[str]:
    """Write the figures that fit the task; returns their file names, none when an output is not a number."""
    folder.mkdir(parents=True, exist_ok=True)
    if not np.all(np.isfinite(predictions if probabilities is None else probabilities)):
        return []
    figures: dict[str, Callable[[Any], None]] = {}
    if task == "binary" and probabilities is not None and len(np.unique(labels)) == 2:
        positive, actual = probabilities[:, 1], np.asarray(labels, dtype=int)
        figures["roc"] = lambda axes: _roc(axes, actual, positive)
        figures["precision_recall"] = lambda axes: _precision_recall(axes, actual, positive)
        figures["calibration"] = lambda axes: _calibration(axes, actual, positive)
        figures["gain"] = lambda axes: _gain(axes, actual, positive)
    elif task == "multiclass":
        figures["confusion"] = lambda axes: _confusion(axes, labels, predictions, classes)
    elif task == "regression":
        figures["predicted_actual"] = lambda axes: _predicted_actual(axes, labels, predictions)
        figures["residuals"] = lambda axes: _residuals(axes, labels, predictions)
    for name, draw in figures.items():
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_title(title, fontsize=10)
        figure.savefig(folder / f"{name}.png", dpi=90)
    return [f"{name}.png" for name in figures]


def _roc(axes: Any, labels: Array, positive: Array) -> None:
    false_rate, true_rate, _ = sk.roc_curve(labels, positive)
    axes.plot(false_rate, true_rate, color=INK, label=f"AUC {sk.auc(false_rate, true_rate):.4f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    axes.legend(loc="lower right")


def _precision_recall(axes: Any, labels: Array, positive: Array) -> None:
    precision, recall, _ = sk.precision_recall_curve(labels, positive)
    axes.plot(recall, precision, color=INK)
    axes.axhline(labels.mean(), color="grey", linestyle=":", label=f"share of positives {labels.mean():.3f}")
    axes.set(xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    axes.legend()


def _calibration(axes: Any, labels: Array, positive: Array) -> None:
    edges = np.unique(np.quantile(positive, np.linspace(0, 1, 11)))
    bins = np.clip(np.digitize(positive, edges[1:-1]), 0, max(len(edges) - 2, 0))
    groups = [bins == index for index in np.unique(bins)]
    axes.plot([positive[g].mean() for g in groups], [labels[g].mean() for g in groups], "o-", color=INK)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="Predicted probability", ylabel="Share of positives")


def _gain(axes: Any, labels: Array, positive: Array) -> None:
    order = np.argsort(-positive, kind="stable")
    share = np.cumsum(labels[order]) / max(labels.sum(), 1)
    axes.plot(np.linspace(0, 1, len(share)), share, color=INK)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="Share of rows, most probable first", ylabel="Share of positives found")


def _confusion(axes: Any, labels: Array, predictions: Array, classes: Array) -> None:
    matrix = sk.confusion_matrix(labels, predictions, labels=classes, normalize="true")
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    names = [str(name)[:12] for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="Predicted", ylabel="Actual")
    if len(names) <= 12:
        for row, column in np.ndindex(matrix.shape):
            color = "white" if matrix[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]:.2f}", ha="center", va="center", color=color, fontsize=8)


def _sample(*arrays: Array) -> tuple[Array, ...]:
    step = max(1, len(arrays[0]) // MAX_POINTS)
    return tuple(array[::step] for array in arrays)


def _predicted_actual(axes: Any, labels: Array, predictions: Array) -> None:
    actual, predicted = _sample(labels, predictions)
    axes.scatter(actual, predicted, s=4, alpha=0.4, color=INK)
    ends = [float(np.min(actual)), float(np.max(actual))]
    axes.plot(ends, ends, color=ACCENT)
    axes.set(xlabel="Actual", ylabel="Predicted")


def _residuals(axes: Any, labels: Array, predictions: Array) -> None:
    axes.hist(labels - predictions, bins=50, color=INK)
    axes.axvline(0, color=ACCENT)
    axes.set(xlabel="Actual minus predicted", ylabel="Rows")


def draw_curve(folder: Path, curve: Sequence[CurvePoint], metric: str) -> str:
    """Write the figure of score v. number of features; returns its file name."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    counts = [len(point.features) for point in curve]
    axes.errorbar(
        counts,
        [point.score for point in curve],
        yerr=[point.standard_error for point in curve],
        color=INK,
        marker="o",
        capsize=3,
    )
    good = [point for point in curve if point.as_good]
    axes.scatter(
        [len(point.features) for point in good],
        [point.score for point in good],
        color=ACCENT,
        zorder=3,
        label="as good as the best",
    )
    axes.set(xlabel="Features", ylabel=f"{metric}, ± standard error of the difference to the best", xscale="log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_title(f"{curve[0].candidate}, part of the rows", fontsize=10)
    axes.legend(loc="lower right")
    figure.savefig(folder / "features.png", dpi=90)
    return "features.png"
