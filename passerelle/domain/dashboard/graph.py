"""A graph as inline SVG with a legend beneath: readable without colours (dashes, words), with a pointer (what was when)
and without one (the legend's last, least and greatest values)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from passerelle.domain.dashboard.body import Limit
from passerelle.domain.dashboard.lines import Line
from passerelle.domain.dashboard.words import escape, number, when

_HEIGHT: Final = 180
_LEFT: Final = 46
_RIGHT: Final = 12
_RIGHT_AXIS: Final = 46
_TOP: Final = 10
_BOTTOM: Final = 24
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
#: Lines have so many colours; the next ones have them again, dashed.
_COLOURS: Final = 6
_DOTS: Final = 40
_MOST_LINES: Final = 24


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What is drawn: from `start` to `end`; a line breaks where points are more than two periods apart."""

    title: str
    lines: Sequence[Line]
    start: datetime
    end: datetime
    period: timedelta
    unit: str = ""
    right_unit: str = ""
    limits: Sequence[Limit] = ()
    #: Metrics of counts begin at nought; a metric of a model would then be a flat line.
    from_zero: bool = True
    #: In pixels; a graph grows and shrinks with its place.
    size: int = 400


def draw(plot: Plot) -> str:
    """Return the graph."""
    shown = plot.lines[:_MOST_LINES]
    right = any(line.right for line in shown)
    width = plot.size - _LEFT - (_RIGHT_AXIS if right else _RIGHT)
    axes = {side: _axis([line for line in shown if line.right is side], plot, side) for side in (False, True)}
    span = max(1.0, (plot.end - plot.start).total_seconds())

    def across(moment: datetime) -> float:
        return _LEFT + width * (moment - plot.start).total_seconds() / span

    def up(value: float, side: bool) -> float:
        low, high = axes[side]
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))

    parts = [
        f'<svg class="graph" viewBox="0 0 {plot.size} {_HEIGHT}" role="img" '
        f'aria-label="{escape(_spoken(plot, shown))}">',
        *_grid(plot, axes, width, right=right),
        *_limits(plot, axes[False], width),
    ]
    for place, line in enumerate(shown):
        style = f"c{place % _COLOURS}"
        dash = _DASHES[(place // _COLOURS + place) % len(_DASHES)]
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        for run in _banded(line, plot.period):
            ends = [(across(moment), up(low, line.right), up(high, line.right)) for moment, (low, high) in run]
            outline = [f"{x:.1f},{high:.1f}" for x, _, high in ends] + [
                f"{x:.1f},{low:.1f}" for x, low, _ in ends[::-1]
            ]
            parts.append(f'<polygon class="band {style}" points="{" ".join(outline)}"/>')
            parts += [f'<path class="whisker {style}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>' for x, low, high in ends]
        for piece in _pieces(line, plot.period):
            drawn = " ".join(f"{across(moment):.1f},{up(value, line.right):.1f}" for moment, value in piece)
            if len(piece) > 1:
                parts.append(f'<polyline class="line {style}" points="{drawn}"{dashes}/>')
            if len(piece) == 1 or len(line.points) <= _DOTS:
                parts += [f'<circle class="dot {style}" cx="{at.split(",")[0]}" cy="{at.split(",")[1]}" r="2.4"/>'
                          for at in drawn.split()]  # fmt: skip
    parts += [*_told(plot, shown, across, width), "</svg>", _legend(plot, shown)]
    return "".join(parts)


def _axis(lines: Sequence[Line], plot: Plot, right: bool) -> tuple[float, float]:
    values = [value for line in lines for _, value in line.points]
    values += [end for line in lines for pair in line.band for end in pair]
    if not right:
        values += [limit.value for limit in plot.limits]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if plot.from_zero or right:
        low, high = min(0.0, low), max(0.0, high)
    if high <= low:
        low, high = (low - abs(low) * 0.05, high + abs(high) * 0.05) if not plot.from_zero and low else (low, low + 1.0)
    step = _step(high - low)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _step(span: float) -> float:
    """Return the distance of lines of a grid: 1, 2 or 5 of some power of ten, about four of them."""
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _grid(plot: Plot, axes: dict[bool, tuple[float, float]], width: float, *, right: bool) -> Iterator[str]:
    height = _HEIGHT - _TOP - _BOTTOM
    for side in (False, True) if right else (False,):
        low, high = axes[side]
        step = _step(high - low)
        for place in range(round((high - low) / step) + 1):
            value = low + place * step
            y = _TOP + height * (1 - (value - low) / (high - low))
            x, anchor = (_LEFT + width + 6, "start") if side else (_LEFT - 6, "end")
            if not side:
                yield f'<path class="grid" d="M{_LEFT} {y:.1f}h{width:.1f}"/>'
            unit = plot.right_unit if side else plot.unit
            text = _tick(value, step) + (f" {unit}" if value + step > high + step / 2 and 0 < len(unit) < 3 else "")
            yield f'<text class="tick" x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    for moment, text in _moments(plot):
        x = _LEFT + width * (moment - plot.start).total_seconds() / max(1.0, (plot.end - plot.start).total_seconds())
        yield f'<path class="grid" d="M{x:.1f} {_HEIGHT - _BOTTOM}v4"/>'
        anchor = "end" if x > _LEFT + width - 12 else "middle"
        yield f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{text}</text>'


def _tick(value: float, step: float) -> str:
    size = max(abs(value), step)
    for factor, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= factor:
            divisor = 1e3 if name == "k" else factor
            return f"{value / divisor:.3g}{name}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f}"


def _moments(plot: Plot) -> Iterator[tuple[datetime, str]]:
    """Yield some four round moments with their names."""
    hours = (plot.end - plot.start).total_seconds() / 3_600
    steps = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672)
    step = next((one for one in steps if hours / one <= 5), steps[-1])
    length = timedelta(hours=step)
    midnight = plot.start.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + length * math.ceil((plot.start - midnight) / length)
    while moment <= plot.end:
        yield moment, f"{moment.day} {moment:%b}" if step >= 24 else f"{moment:%H:%M}"
        moment += length


def _limits(plot: Plot, axis: tuple[float, float], width: float) -> Iterator[str]:
    low, high = axis
    for limit in plot.limits:
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (limit.value - low) / (high - low))
        yield f'<path class="limit" d="M{_LEFT} {y:.1f}h{width:.1f}"/>'
        at = f'x="{_LEFT + width - 4:.1f}" y="{y - 4:.1f}" text-anchor="end"'
        yield f'<text class="tick limit-name" {at}>{escape(limit.label)}</text>'


def _pieces(line: Line, period: timedelta) -> Iterator[list[tuple[datetime, float]]]:
    piece: list[tuple[datetime, float]] = []
    for moment, value in line.points:
        if piece and moment - piece[-1][0] > 2 * period:
            yield piece
            piece = []
        piece.append((moment, value))
    if piece:
        yield piece


def _banded(line: Line, period: timedelta) -> Iterator[list[tuple[datetime, tuple[float, float]]]]:
    """Yield the intervals of each piece of a line."""
    ends = dict(zip((moment for moment, _ in line.points), line.band, strict=False))
    for piece in _pieces(line, period):
        if line.band:
            yield [(moment, ends[moment]) for moment, _ in piece]


def _told(plot: Plot, lines: Sequence[Line], across: Callable[[datetime], float], width: float) -> Iterator[str]:
    """Yield an invisible strip for each moment, which says what was then."""
    by_moment: dict[datetime, list[str]] = defaultdict(list)
    for line in lines:
        unit = plot.right_unit if line.right else plot.unit
        for place, (moment, value) in enumerate(line.points):
            ends = f" ({number(line.band[place][0])} to {number(line.band[place][1])})" if line.band else ""
            by_moment[moment].append(f"{line.label}: {number(value, unit)}{ends}")
    moments = sorted(by_moment)
    middles = [(across(one) + across(two)) / 2 for one, two in pairwise(moments)]
    strips = pairwise([_LEFT, *middles, _LEFT + width])
    for moment, (begin, end) in zip(moments, strips, strict=False):
        words = "\n".join([f"{when(moment)} UTC", *by_moment[moment]])
        yield (
            f'<rect class="told" x="{begin:.1f}" y="{_TOP}" width="{max(0.0, end - begin):.1f}" '
            f'height="{_HEIGHT - _TOP - _BOTTOM}"><title>{escape(words)}</title></rect>'
        )


def _legend(plot: Plot, lines: Sequence[Line]) -> str:
    rows = []
    for place, line in enumerate(lines):
        dash = _DASHES[(place // _COLOURS + place) % len(_DASHES)]
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        unit = plot.right_unit if line.right else plot.unit
        values = [value for _, value in line.points]
        told = f"{number(values[-1], unit)}"
        spread = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else "one value"
        rows.append(
            f'<li><svg class="key" viewBox="0 0 26 8" aria-hidden="true">'
            f'<path class="line c{place % _COLOURS}" d="M0 4h26"{dashes}/></svg>'
            f"<span>{escape(line.label)}{' (right)' if line.right else ''}</span> <b>{escape(told)}</b> "
            f"<small>{escape(spread)}</small></li>"
        )
    more = len(plot.lines) - len(lines)
    if more:
        rows.append(f"<li>{more} more lines are not drawn.</li>")
    return f'<ul class="legend">{"".join(rows)}</ul>'


def _spoken(plot: Plot, lines: Sequence[Line]) -> str:
    told = [
        f"{line.label}: last {number(line.points[-1][1], plot.right_unit if line.right else plot.unit)} at "
        f"{when(line.points[-1][0])}"
        for line in lines
    ]
    return f"{plot.title}. {'; '.join(told)}"
