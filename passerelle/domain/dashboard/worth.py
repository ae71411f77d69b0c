"""What the model is worth, window by window: as estimated, as labels show it, and in the project's money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from passerelle.contracts.monitoring import VALUE, Figure, WindowRecord
from passerelle.domain.dashboard.board import Board
from passerelle.domain.dashboard.body import Limit
from passerelle.domain.dashboard.graph import Plot, draw
from passerelle.domain.dashboard.lines import Line
from passerelle.domain.dashboard.words import escape, moment_of, money, number, when

Found = Callable[[WindowRecord], Figure | None]


def worth_panels(board: Board) -> Iterator[str]:
    """Yield the graphs; nothing where no window was judged by its worth."""
    windows = [record for record in reversed(board.windows) if record.estimated or record.realised or record.unknown]
    if not windows:
        return
    yield '<h2>What the model is worth</h2><div class="panels">'
    metric, last = board.about.metric, windows[-1]
    estimated = _line("estimated, before labels", windows, lambda record: record.estimated.get(metric), 1)
    realised = _line("realised, as labels show", windows, lambda record: record.realised.get(metric), 1)
    before = next((figure.before for record in reversed(windows) if (figure := _any(record, metric))), None)
    limits = [Limit(value=before, label=f"when accepted: {number(before)}")] if before is not None else []
    unknown = [f"Of the last window not {how}: {why}" for how, why in last.unknown.items()]
    yield _section(f"{metric}, with 95 % intervals", windows, [estimated, realised], limits, "", board.now, unknown)
    if board.money:
        currency = str(board.about.currency)
        lines = [
            _line("estimated, all predictions", windows, lambda record: record.estimated.get(VALUE), None),
            _line(
                "realised, those with a label", windows, lambda record: record.realised.get(VALUE), None, labelled=True
            ),
        ]
        yield _section(f"Gain by window, {currency}", windows, lines, [], currency, board.now)
    why = next((record for record in board.windows if record.why), None)
    if why is not None:
        yield (
            '<section class="panel whole" style="--w:24"><h3>Why it changed, as labels show</h3>'
            f"<p>Changed by {escape(why.why)}, in the window of {when(moment_of(why.start))} UTC.</p></section>"
        )
    yield "</div>"


def gain(record: WindowRecord) -> tuple[float, str] | None:
    """Return a window's money and whether it is realised or estimated; None where nobody says."""
    if record.realised_gain is not None:
        return record.realised_gain, "realised"
    return (record.estimated_gain, "estimated") if record.estimated_gain is not None else None


def gain_words(record: WindowRecord, currency: str) -> str:
    """Return a window's money in words, "" where nobody says."""
    found = gain(record)
    return f"{money(found[0], currency)} {found[1]}" if found else ""


def _any(record: WindowRecord, metric: str) -> Figure | None:
    return record.realised.get(metric) or record.estimated.get(metric)


def _line(
    label: str, windows: Sequence[WindowRecord], found: Found, factor: float | None, *, labelled: bool = False
) -> Line:
    """Return figures by window; without a factor, times the window's predictions (`labelled`: those with a label)."""
    points, band = [], []
    for record in windows:
        figure = found(record)
        if figure is None:
            continue
        times = factor if factor is not None else float(record.labelled if labelled else record.rows)
        points.append((_middle(record), figure.value * times))
        band.append((figure.lower * times, figure.upper * times))
    return Line(label=label, points=tuple(points), band=tuple(band))


def _middle(record: WindowRecord) -> datetime:
    start = moment_of(record.start)
    return start + (moment_of(record.end) - start) / 2


def _section(
    title: str,
    windows: Sequence[WindowRecord],
    lines: Sequence[Line],
    limits: Sequence[Limit],
    unit: str,
    now: datetime,
    unknown: Sequence[str] = (),
) -> str:
    start, end = moment_of(windows[0].start), max(now, moment_of(windows[-1].end))
    length: timedelta = moment_of(windows[-1].end) - moment_of(windows[-1].start)
    drawn = [line for line in lines if line.points]
    words = [*(f"Nothing yet: {line.label}." for line in lines if not line.points), *unknown]
    missing = "".join(f'<p class="soft">{escape(text)}</p>' for text in words)
    if not drawn:
        return f'<section class="panel" style="--w:12"><h3>{escape(title)}</h3>{missing}</section>'
    plot = Plot(
        title=title,
        lines=drawn,
        start=start,
        end=end,
        period=length,
        unit=unit,
        limits=limits,
        from_zero=bool(unit),
        size=600,
    )
    return f'<section class="panel" style="--w:12"><h3>{escape(title)}</h3>{draw(plot)}{missing}</section>'
