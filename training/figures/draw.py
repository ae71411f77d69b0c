"""Figures of a model: matplotlib's Figure API only, so that nothing global is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from passerelle.contracts.container import CurvePoint
from training.figures.points import Points, figure_points

Array = npt.NDArray[Any]
INK: Final = "#1f4e79"
ACCENT: Final = "#c55a11"
#: What the figures show, beside them.
POINTS_FILE: Final = "figures.json"
#: Their axes run from 0 to 1, so that it is known what room their labels need: a layout that measures it draws a figure
#: twice.
_OF_SHARES: Final = ("roc", "precision_recall", "calibration", "gain")
_MARGINS: Final = {"left": 0.15, "right": 0.97, "bottom": 0.13, "top": 0.92}


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
    """Write the figures that fit the task, and their points; returns their names, none when an output is no number."""
    folder.mkdir(parents=True, exist_ok=True)
    points = figure_points(
        task=task, labels=labels, predictions=predictions, probabilities=probabilities, classes=classes
    )
    for name, shown in points.items():
        known = name in _OF_SHARES
        figure = Figure(figsize=(5, 4), layout=None if known else "constrained")
        axes = figure.subplots(gridspec_kw=_MARGINS if known else None)
        _DRAWN[name](axes, shown)
        axes.set_title(title, fontsize=10)
        figure.savefig(folder / f"{name}.png", dpi=90)
    (folder / POINTS_FILE).write_text(json.dumps(points), encoding="utf-8")
    return [f"{name}.png" for name in points]


def _roc(axes: Any, shown: Points) -> None:
    several = len(shown["curves"]) > 1
    for curve in shown["curves"]:
        label = f"{curve['class'][:12]}: AUC {curve['auc']:.4f}" if several else f"AUC {curve['auc']:.4f}"
        color = {} if several else {"color": INK}
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], label=label, **color)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    if shown["curves"]:
        axes.legend(loc="lower right", fontsize=8)


def _precision_recall(axes: Any, shown: Points) -> None:
    share = shown["share_of_positives"]
    axes.plot(shown["recall"], shown["precision"], color=INK)
    axes.axhline(share, color="grey", linestyle=":", label=f"share of positives {share:.3f}")
    axes.set(xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    axes.legend()


def _calibration(axes: Any, shown: Points) -> None:
    axes.plot(shown["probability"], shown["share"], "o-", color=INK)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="Predicted probability", ylabel="Share that it is so")


def _gain(axes: Any, shown: Points) -> None:
    axes.plot([0, *shown["share_of_rows"]], [0, *shown["share_of_positives"]], color=INK)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="Share of rows, most probable first", ylabel="Share of positives found")


def _confusion(axes: Any, shown: Points) -> None:
    matrix = np.asarray(shown["shares"], dtype=np.float64).reshape(len(shown["shares"]), -1)
    if not matrix.size:
        return
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    names = [name[:12] for name in shown["classes"]]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="Predicted", ylabel="Actual")
    if len(names) <= 12:
        for row, column in np.ndindex(matrix.shape):
            color = "white" if matrix[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]:.2f}", ha="center", va="center", color=color, fontsize=8)


def _predicted_actual(axes: Any, shown: Points) -> None:
    axes.scatter(shown["actual"], shown["predicted"], s=4, alpha=0.4, color=INK)
    ends = [min(shown["actual"]), max(shown["actual"])]
    axes.plot(ends, ends, color=ACCENT)
    axes.set(xlabel="Actual", ylabel="Predicted")


def _residuals(axes: Any, shown: Points) -> None:
    axes.stairs(shown["rows"], shown["edges"], fill=True, color=INK)
    axes.axvline(0, color=ACCENT)
    axes.set(xlabel="Actual minus predicted", ylabel="Rows")


def _residuals_predicted(axes: Any, shown: Points) -> None:
    axes.scatter(shown["predicted"], shown["residual"], s=4, alpha=0.4, color=INK)
    axes.axhline(0, color=ACCENT)
    axes.set(xlabel="Predicted", ylabel="Actual minus predicted")


_DRAWN: Final[Mapping[str, Callable[[Any, Points], None]]] = {
    "roc": _roc,
    "precision_recall": _precision_recall,
    "calibration": _calibration,
    "gain": _gain,
    "confusion": _confusion,
    "predicted_actual": _predicted_actual,
    "residuals": _residuals,
    "residuals_predicted": _residuals_predicted,
}


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
