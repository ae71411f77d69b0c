"""The figure of how a model ages."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from passerelle.contracts.backtest import BACKTEST_FIGURE, Staleness
from training.figures.draw import ACCENT, INK


def draw_staleness(folder: Path, found: Staleness, metric: str, period: str) -> str:
    """Write what is lost at each age with its interval, the limit and the proposed cadence; returns its file name."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    ages = [1, *(point.age for point in found.curve)]
    axes.fill_between(
        ages,
        [0.0, *(point.lower for point in found.curve)],
        [0.0, *(point.upper for point in found.curve)],
        color=INK,
        alpha=0.2,
        linewidth=0,
        label="95 % interval",
    )
    axes.plot(ages, [0.0, *(point.loss for point in found.curve)], "o-", color=INK)
    axes.axhline(found.limit, color=ACCENT, linestyle=":", label=f"limit {found.limit:.3g}")
    if found.cadence:
        axes.axvline(found.cadence.periods, color=ACCENT, label="proposed cadence")
    unit = f"periods of {period}" if period.endswith("d") else f"{period}s"
    axes.set(xlabel=f"Age of the model, {unit}", ylabel=f"{metric} lost beside a fresh model")
    axes.set_xticks(ages)
    axes.legend(loc="upper left", fontsize=8)
    figure.savefig(folder / BACKTEST_FIGURE, dpi=90)
    return BACKTEST_FIGURE
