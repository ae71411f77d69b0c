"""The tornado as PNG, for reports and chats; it loads matplotlib, which no function does (pyproject.toml)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from passerelle.domain.cost.ownership.comparison import Comparison
from passerelle.domain.cost.ownership.worded import amount, difference_words, swing_ends

_DPI: Final = 110


def draw_tornado(comparison: Comparison, path: Path) -> None:
    """Write the chart: from what is expected to the result at each figure's low and high end."""
    swings = comparison.swings
    middle = comparison.difference.expected or 0.0
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(swings)), layout="constrained")
    axes = figure.subplots()
    for side, colour, label in ((0, "#1d5fc4", "figure at its low end"), (1, "#b4530b", "at its high end")):
        widths = [swing.difference[side] - middle for swing in swings]
        axes.barh(range(len(swings)), widths, left=middle, color=colour, height=0.6, label=label)
    names = [f"{swing.driver.capitalize()}\n{swing_ends(swing)}" for swing in swings]
    axes.set_yticks(range(len(swings)), names, fontsize=8)
    axes.set_ylim(len(swings) - 0.5, -0.5)
    axes.axvline(0, color="#b3161b", linestyle="--", linewidth=1)
    axes.axvline(middle, color="#1b1f24", linewidth=1)
    axes.set_title(f"{difference_words(comparison)}; below 0 owning costs less", fontsize=9, loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: amount(value))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=_DPI)
