"""A window's verdict as a page: one HTML file without scripts that needs nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from passerelle.domain.drift.bars import bars
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.signal import Signal

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --line: #d7dce2; --ground: #fff;
  --minor: #8a6d00; --moderate: #b45309; --major: #b91c1c; --now: #3b82f6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4b0; --line: #3a424c; --ground: #14181d;
  --minor: #e3c04a; --moderate: #f59e0b; --major: #f87171; --now: #60a5fa; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } .when { color: var(--soft); margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .4rem .6rem;
  border-bottom: 1px solid var(--line); vertical-align: top; } td.number { text-align: right; white-space: nowrap; }
.minor { color: var(--minor); } .moderate { color: var(--moderate); } .major { color: var(--major); }
.verdict { font-size: 1.1rem; padding: .6rem .9rem; border-left: .3rem solid currentColor; margin: 1rem 0; }
svg.bars .now { fill: var(--now); opacity: .55; } svg.bars .before { fill: none; stroke: var(--ink); }
summary { cursor: pointer; margin: 1.2rem 0 .6rem; }
"""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the page is about: `window` is a time in words, `model` the model whose training data is the reference."""

    project: str
    window: str
    model: str


def drift_page(heading: Heading, drift: Drift, reference: Reference, window: Profile) -> str:
    """Return the page."""
    rest = [signal for signal in drift.signals if not signal.alarm]
    body = [
        f"<h1>{escape(heading.project)}: is the data still what the model knows?</h1>",
        f'<p class="when">{escape(heading.window)} · {drift.rows:,} rows beside {drift.reference_rows:,} of the '
        f"training data of {escape(heading.model)}</p>",
        f'<p class="verdict {drift.severity}">{escape(verdict(drift))}</p>',
        *(_table(drift.alarms, reference, window) if drift.alarms else ()),
        f"<details><summary>{len(rest):,} more questions that were asked</summary>",
        *_table(rest, reference, window),
        "</details>",
        '<p class="when">Bars: rows now; outlines: rows of the training data. An alarm is both material (its effect '
        "reaches a limit beyond what is usual) and significant over all questions together.</p>",
    ]
    title = f"{heading.project}, {heading.window}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><style>' + _STYLE + "</style></head><body>"
        + "\n".join(body) + "</body></html>\n"
    )  # fmt: skip


def verdict(drift: Drift) -> str:
    """Return the verdict in one sentence: the gravest alarm, and how many there are besides."""
    if not drift.rows:
        return "No rows came: there is nothing to compare."
    if not drift.alarms:
        return "Nothing alarms: the rows are like the training data."
    first, others = drift.alarms[0], len(drift.alarms) - 1
    more = f" {others} more alarm{'s' if others > 1 else ''}." if others else ""
    return f"{_name(first)}: {first.words} ({first.severity}).{more}"


def _name(signal: Signal) -> str:
    shown = {"__score": "the model's score", "__decision": "the model's decision"}
    name = shown.get(signal.column, signal.column) or signal.kind
    return f"{signal.segment}: {name}" if signal.segment else name


def _table(signals: tuple[Signal, ...] | list[Signal], reference: Reference, window: Profile) -> Iterator[str]:
    yield "<table><thead><tr><th>Column</th><th>What</th><th>In words</th><th>Effect</th><th>Usual</th>"
    yield "<th>Adjusted p</th><th>Rows</th></tr></thead><tbody>"
    for signal in signals:
        yield _row(signal, reference, window)
    yield "</tbody></table>"


def _row(signal: Signal, reference: Reference, window: Profile) -> str:
    picture = ""
    whole = signal.kind in ("distribution", "constant") and not signal.segment
    if whole and signal.column in reference.layout.columns:
        picture = bars(
            reference.layout.columns[signal.column],
            window.columns[signal.column],
            reference.profile.columns[signal.column],
        )
    form = "{:,.1f} times" if signal.kind in ("volume", "freshness") else "{:.1%}"
    low, high = (form.format(bound) for bound in (signal.effect.lower, signal.effect.upper))
    effect = f"{form.format(signal.effect.value)}<br><small>{low} to {high}</small>"
    usual = f"{signal.usual:.1%}" if signal.usual else ""
    cells = [
        f"<td>{escape(_name(signal))}</td>",
        f'<td class="{signal.severity}">{escape(signal.kind)}{f", {signal.severity}" if signal.alarm else ""}</td>',
        f"<td>{escape(signal.words)}</td>",
        f'<td class="number">{effect}</td>',
        f'<td class="number">{usual}</td>',
        f'<td class="number">{signal.adjusted_p_value:.2g}</td>',
        f"<td>{picture}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"
