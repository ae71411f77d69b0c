"""Figures of why a model answers as it does: importance, beeswarm, partial dependence with single rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from passerelle.contracts.explain import Explanations
from passerelle.domain.explain.contributions import Contributions
from passerelle.domain.explain.dependence import Dependence
from training.figures.draw import ACCENT, INK

MAX_COLUMNS: Final = 15
MAX_ICE: Final = 50


def draw_explanations(
    folder: Path,
    document: Explanations,
    found: Contributions,
    sample: pd.DataFrame,
    dependence: Sequence[Dependence],
) -> list[str]:
    """Write the figures; returns their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    words = f"{document.candidate}, {len(sample)} test rows"
    figures = {
        "shap_importance": _importance(document, words),
        "shap_beeswarm": _beeswarm(document, found, sample, words),
        "permutation_importance": _permutation(document),
    }
    if dependence:
        figures["partial_dependence"] = _dependence(document, dependence)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=80)
    return [f"{name}.png" for name in figures]


def _importance(document: Explanations, words: str) -> Figure:
    shown = list(document.shapley.importance.items())[:MAX_COLUMNS][::-1]
    figure, axes = _figure(len(shown), words)
    axes.barh([name for name, _ in shown], [value for _, value in shown], color=INK)
    axes.set(xlabel=f"Mean absolute Shapley value, {document.shapley.space}")
    return figure


def _permutation(document: Explanations) -> Figure:
    shown = document.permutation[:MAX_COLUMNS][::-1]
    figure, axes = _figure(len(shown), f"{document.candidate}, {document.permutation_rows:,} test rows")
    axes.barh(
        [item.column for item in shown],
        [item.mean for item in shown],
        xerr=[item.deviation for item in shown],
        color=INK,
        ecolor=ACCENT,
    )
    axes.set(xlabel=f"{document.metric}: how much worse when shuffled")
    return figure


def _beeswarm(document: Explanations, found: Contributions, sample: pd.DataFrame, words: str) -> Figure:
    """Each point is a row: its contribution, coloured by whether its value of the column is low or high."""
    names = list(document.shapley.importance)[:MAX_COLUMNS][::-1]
    output = document.shapley.outputs[-1]
    figure, axes = _figure(len(names), words)
    for height, name in enumerate(names):
        values = found.values[:, found.columns.index(name), -1]
        colour = _ranks(sample[name])
        axes.scatter(values, height + _spread(values), c=colour, cmap="coolwarm", s=6, vmin=0, vmax=1)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=f"Shapley value for {output}, {document.shapley.space} (blue: low value, red: high)")
    return figure


def _figure(bars: int, title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 1.2 + 0.28 * max(bars, 3)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    return figure, axes


def _ranks(values: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Return where each value stands among the others, 0 to 1; texts in the order of the alphabet, gaps lowest."""
    if values.dtype.kind == "O":
        values = values.fillna("").astype(str)
    return np.asarray(values.rank(pct=True, na_option="top"), dtype=np.float64)


def _spread(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far to move each point aside so that points of about the same value do not hide each other."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values))
    bins = ((values - low) / (high - low) * 40).astype(int)
    place = pd.Series(bins).groupby(bins).cumcount().to_numpy()
    counts = np.bincount(bins)
    step = 0.8 / max(counts.max(), 1)
    return np.asarray(np.where(place % 2 == 0, 1, -1) * ((place + 1) // 2) * step, dtype=np.float64)


def _dependence(document: Explanations, curves: Sequence[Dependence]) -> Figure:
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axes, curve in zip(grid, curves, strict=False):
        _curve(axes, curve)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    figure.suptitle(
        f"{document.candidate}: mean answer for {document.shapley.outputs[-1]}, and single rows", fontsize=10
    )
    return figure


def _curve(axes: Any, curve: Dependence) -> None:
    texts = isinstance(curve.grid[0], str)
    points = np.arange(len(curve.grid)) if texts else np.asarray(curve.grid, dtype=np.float64)
    rows = curve.rows[:MAX_ICE, :, -1]
    # One line with gaps: a line a row takes most of the time of all figures.
    gap = np.full((len(rows), 1), np.nan)
    across, up = np.tile(np.append(points, np.nan), len(rows)), np.hstack([rows, gap]).ravel()
    axes.plot(across, up, color="grey", alpha=0.25, linewidth=0.6)
    axes.plot(points, curve.mean[:, -1], color=ACCENT, linewidth=2)
    if texts:
        axes.set_xticks(points, [str(name)[:10] for name in curve.grid], rotation=60, ha="right", fontsize=7)
    axes.set_xlabel(curve.column if curve.part is None else f"{curve.part} of {curve.column}", fontsize=8)
    axes.tick_params(labelsize=7)
