"""Drift as PNG, for reports and chats: the map over time, and one window's signals with their intervals.

Like cost/ownership/picture.py it imports matplotlib, which functions do without: pyproject.toml holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from passerelle.contracts.monitoring import WindowRecord
from passerelle.domain.dashboard.heat_map import named, ranked
from passerelle.domain.dashboard.words import moment_of

_INK: Final = "#1b1f24"
_SOFT: Final = "#566070"
#: By severity: the fill of a cell, the colour of a line, and a marker for whoever sees no colours.
_FILLS: Final = {"minor": "#fbe9a9", "moderate": "#fbc48a", "major": "#f3989b"}
_LINES: Final = {"none": "#1d5fc4", "minor": "#7a5c00", "moderate": "#a8480a", "major": "#b3161b"}
_MARKERS: Final = {"none": "o", "minor": "v", "moderate": "^", "major": "s"}
#: No font has to hold the page's shapes: exclamation marks say as much.
_MARKS: Final = {"none": "", "minor": "!", "moderate": "!!", "major": "!!!"}
_TINTS: Final = LinearSegmentedColormap.from_list("moved", ["#f6f9ff", "#7aa5ee"])
_FULL: Final = 0.5
_COLUMNS: Final = 24
_SIGNALS: Final = 20
#: Effects of these are factors, or losses of a metric: no shares of rows.
_OTHER: Final = ("volume", "freshness", "estimated", "realised")
_DPI: Final = 110


def draw_map(windows: Sequence[WindowRecord], path: Path) -> None:
    """Write which columns moved in which window; windows are given oldest first, one at least."""
    columns = ranked(windows)[:_COLUMNS]
    size = (2.4 + 0.46 * max(6, len(windows)), 1.5 + 0.3 * max(2, len(columns)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    shares = np.array([[record.moved.get(column, np.nan) for record in windows] for column in columns], dtype=float)
    shares = shares.reshape(len(columns), len(windows))
    if columns:
        axes.imshow(shares, cmap=_TINTS, vmin=0, vmax=_FULL, aspect="auto")
    for row, column in enumerate(columns):
        for place, record in enumerate(windows):
            _cell(axes, place, row, record.moved.get(column), record.severities.get(column, "none"))
    axes.set_yticks(range(len(columns)), [named(column) for column in columns], fontsize=8)
    hourly = any(moment_of(record.start).hour for record in windows)
    starts = [moment_of(record.start) for record in windows]
    names = [f"{start:%d %b}\n{start:%H:%M}" if hourly else f"{start:%d %b}" for start in starts]
    axes.set_xticks(range(len(windows)), names, fontsize=7, rotation=0 if len(windows) <= 12 else 90)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=_SOFT)
    title = f"{windows[0].project}: percent of rows that moved beside the training data"
    axes.set_title(f"{title}\n! minor, !! moderate, !!! major", fontsize=9, color=_INK, loc="left")
    figure.savefig(path, dpi=_DPI)


def _cell(axes: Any, place: int, row: int, moved: float | None, severity: str) -> None:
    if severity != "none":
        axes.fill_between([place - 0.5, place + 0.5], row - 0.5, row + 0.5, color=_FILLS[severity], linewidth=0)
    elif moved is None:
        axes.fill_between([place - 0.5, place + 0.5], row - 0.5, row + 0.5, facecolor="none", edgecolor="#d9dee5",
                          hatch="////", linewidth=0)  # fmt: skip
    text = f"{100 * moved:.0f}{_MARKS[severity]}" if moved is not None else _MARKS[severity]
    bold = "bold" if severity in ("moderate", "major") else "normal"
    axes.text(place, row, text, ha="center", va="center", fontsize=7, color=_INK, fontweight=bold)


def draw_window(record: WindowRecord, signals: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write one window's gravest signals: effects with 95 % intervals, and what the training period moved of itself.

    Parameters
    ----------
    signals : as `Drift.to_dict` gives them; those of other effects than shares of rows are left to the words.
    """
    order = list(_LINES)
    of_rows = [signal for signal in signals if signal["kind"] not in _OTHER]
    of_rows.sort(key=lambda one: (-one["alarm"], -order.index(one["severity"]), -abs(one["effect"]["value"])))
    shown = of_rows[:_SIGNALS]
    figure = Figure(figsize=(8, 1.8 + 0.32 * max(2, len(shown))), layout="constrained")
    axes = figure.subplots()
    for place, signal in enumerate(shown):
        effect, severity = signal["effect"], signal["severity"] if signal["alarm"] else "none"
        middle, low, high = (100 * effect[name] for name in ("value", "lower", "upper"))
        axes.plot([low, high], [place, place], color=_LINES[severity], linewidth=2, solid_capstyle="butt")
        axes.plot(middle, place, _MARKERS[severity], color=_LINES[severity], markersize=6)
        if signal["usual"]:
            axes.plot(100 * signal["usual"], place, "|", color=_SOFT, markersize=11)
    names = [f"{_name(signal)}{' ' + _MARKS[signal['severity']] if signal['alarm'] else ''}" for signal in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
    axes.axvline(0, color="#d9dee5", zorder=0)
    axes.set_xlabel("Percent of rows, 95 % interval; | what the training period moved of itself", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    start = moment_of(record.start)
    heading = f"{record.project}, {start:%Y-%m-%d %H:%M} UTC: {record.rows:,} predictions of version {record.version}"
    figure.suptitle(f"{heading}\n{_wrapped(record.line)}", fontsize=9, color=_INK, x=0.01, ha="left")
    figure.savefig(path, dpi=_DPI)


def _name(signal: Mapping[str, Any]) -> str:
    name = named(signal["column"]) or signal["kind"]
    kind = "" if signal["kind"] == "distribution" else f", {signal['kind']}"
    return f"{signal['segment']}: {name}{kind}" if signal.get("segment") else f"{name}{kind}"


def _wrapped(text: str, width: int = 105) -> str:
    # matplotlib takes what stands between two dollars for a formula.
    return fill(text, width).replace("$", r"\$")
