"""The map of drift: columns × windows, each cell with its number and its severity in shape, colour and words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from passerelle.contracts.monitoring import SeverityName, WindowRecord
from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.dashboard.words import escape, moment_of, share, when

ANSWERS: Final = {SCORE: "the model's score", DECISION: "the model's decision"}
#: Severities by shape: not everybody sees colours, and nobody on a printed page.
MARKS: Final[dict[str, str]] = {"none": "", "minor": "△", "moderate": "▲", "major": "■"}
#: Columns that are shown at once; the others unfold.
_SHOWN: Final = 16
#: A cell has its full tint where half of the rows moved and more; tints in so many steps.
_FULL: Final = 0.5
_STEPS: Final = 5
#: Where less of all rows moved, it is not that which alarms.
_LITTLE: Final = 0.01
#: So many windows are now.
_NOW: Final = 3
Link = Callable[[WindowRecord], str]


def ranked(windows: Sequence[WindowRecord]) -> list[str]:
    """Return the columns that any window knows, given oldest first.

    What alarms now comes first, the gravest first, then what alarmed most often, then what moved most.
    """
    order = list(MARKS)

    def rank(column: str) -> tuple[int, int, float, str]:
        now = max(order.index(record.severities.get(column, "none")) for record in windows[-_NOW:])
        alarms = sum(column in record.severities for record in windows)
        return -now, -alarms, -max(record.moved.get(column, 0.0) for record in windows), column

    names = {name for record in windows for name in (*record.moved, *record.severities)}
    return sorted(names, key=rank)


def named(column: str) -> str:
    """Return what people call a column."""
    return ANSWERS.get(column, column)


def heat_map(windows: Sequence[WindowRecord], link: Link = lambda _: "") -> str:
    """Return the map of windows, given oldest first; `link` says where a window's page is, "" for nowhere."""
    columns = ranked(windows)
    rows = [_verdicts(windows, link), _predictions(windows), *(_row(column, windows, link) for column in columns)]
    shown, more = rows[: _SHOWN + 2], rows[_SHOWN + 2 :]
    rest = f'<tbody class="more">{"".join(more)}</tbody>' if more else ""
    table = (
        f'<table class="map"><caption class="aside">Share of rows that moved beside the training data, by column and '
        f'window</caption><thead><tr><th scope="col">Window (UTC)</th>{"".join(_heads(windows))}</tr></thead>'
        f"<tbody>{''.join(shown)}</tbody>{rest}</table>"
    )
    fold = (
        f'<input type="checkbox" id="more"><label for="more">{len(more)} more columns that moved less</label>'
        if more
        else ""
    )
    # Scrolled by keys too; in reversed order a browser begins at the end, where the newest windows are.
    return (
        f'{fold}<div class="scroll" tabindex="0" role="region" aria-label="Drift by column and window, newest at the '
        f'right">{table}</div>{_key()}'
    )


def _key() -> str:
    named_marks = "".join(
        f'<li><span class="cell {name}">{mark}</span> {name}</li>' for name, mark in MARKS.items() if mark
    )
    return (
        f'<ul class="key-list" aria-label="Key"><li><span class="cell t5"></span> half of the rows moved, no alarm</li>'
        f'{named_marks}<li><span class="cell void"></span> not compared</li></ul>'
    )


def _heads(windows: Sequence[WindowRecord]) -> Iterator[str]:
    day = ""
    hourly = any(moment_of(record.start).hour for record in windows)
    for record in windows:
        start = moment_of(record.start)
        date = f"{start.day} {start:%b}"
        words = f"{date}<br>{start:%H:%M}" if hourly and date != day else (f"<br>{start:%H:%M}" if hourly else date)
        day = date
        yield f'<th scope="col"><time datetime="{escape(record.start)}">{words}</time></th>'


def _verdicts(windows: Sequence[WindowRecord], link: Link) -> str:
    cells = []
    for record in windows:
        shown = record.severity if record.status == "judged" else record.status
        words = f"{when(moment_of(record.start))}: {'quiet' if shown == 'none' else shown}. {record.line}"
        text = MARKS.get(shown, "–") or "✓"
        cells.append(_cell(text, shown if shown in MARKS else "void", words, link(record)))
    return f'<tr class="verdicts"><th scope="row">All of it</th>{"".join(cells)}</tr>'


def _predictions(windows: Sequence[WindowRecord]) -> str:
    cells = (f'<td class="count">{_short(record.rows)}</td>' for record in windows)
    return f'<tr><th scope="row">Predictions</th>{"".join(cells)}</tr>'


def _short(count: int) -> str:
    for factor, name in ((1_000_000, "M"), (1_000, "k")):
        if count >= factor:
            return f"{count / factor:.3g}{name}"
    return str(count)


def _row(column: str, windows: Sequence[WindowRecord], link: Link) -> str:
    cells = []
    for record in windows:
        moved, severity = record.moved.get(column), record.severities.get(column, "none")
        told = f"{share(moved)} of rows moved" if moved is not None else "not compared"
        words = f"{named(column)}, {when(moment_of(record.start))}: {told}, {_said(severity, moved)}"
        mark = MARKS[severity]
        if mark:
            number = f"{100 * moved:.0f}" if moved is not None and moved >= _LITTLE else ""
            cells.append(_cell(f"{number}{mark}", severity, words, link(record)))
        elif moved is None:
            cells.append(_cell("–", "void", words, ""))
        else:
            tint = f"t{min(_STEPS, round(moved / _FULL * _STEPS))}"
            cells.append(_cell(f"{100 * moved:.0f}", tint, words, ""))
    return f'<tr><th scope="row">{escape(named(column))}</th>{"".join(cells)}</tr>'


def _said(severity: SeverityName, moved: float | None) -> str:
    if severity == "none":
        return "no alarm"
    return f"{severity} alarm" + (
        "" if moved is not None and moved >= _LITTLE else ", of a segment, of rare values or of two columns together"
    )


def _cell(text: str, kind: str, words: str, link: str) -> str:
    """What alarms leads to its window's page, and can be reached by keys; the rest is text with a tooltip."""
    told = escape(words)
    if link:
        return f'<td class="cell {kind}"><a href="{escape(link)}" title="{told}" aria-label="{told}">{text}</a></td>'
    return f'<td class="cell {kind}" title="{told}">{text}<span class="aside"> {told}</span></td>'
