"""Cards and tables of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.domain.dashboard.board import Board
from passerelle.domain.dashboard.heat_map import MARKS
from passerelle.domain.dashboard.panels import state_words
from passerelle.domain.dashboard.words import ago, escape, moment_of, money, number, when, with_code
from passerelle.domain.dashboard.worth import gain_words

_RUNS: Final = 10
_PROMOTIONS: Final = 8
_MONTH: Final = timedelta(days=30)
_STATES: Final = {
    "succeeded": ("good", "✓"), "failed": ("major", "■"), "rejected": ("major", "■"), "refused": ("moderate", "▲"),
}  # fmt: skip


def cards(board: Board) -> str:
    """Return what one wants to know at a glance."""
    shown = "".join(
        f'<div class="card"><h3>{escape(name)}</h3><b class="{kind}">{escape(value)}</b>'
        f"<small>{escape(words)}</small></div>"
        for name, value, words, kind in _cards(board)
    )
    return f'<div class="cards">{shown}</div>'


def _cards(board: Board) -> Iterator[tuple[str, str, str, str]]:
    yield _champion(board)
    last = board.windows[0] if board.windows else None
    if last is not None:
        judged = last.status == "judged"
        word = {"none": "quiet"}.get(last.severity, last.severity) if judged else last.status
        mark = (MARKS[last.severity] or "✓") if judged else "–"
        kind = {"none": "good"}.get(last.severity, last.severity) if judged else "soft"
        yield "Last window", f"{mark} {word}", f"{when(moment_of(last.start))}; {last.rows:,} predictions", kind
    yield from _worth(board)
    month = [run for run in board.runs if moment_of(run.created_at) > board.now - _MONTH and run.cost is not None]
    spent = sum(run.cost.known_usd or 0 for run in month if run.cost)
    budget = f"; budget {board.about.budget_usd:,.0f} USD a month" if board.about.budget_usd else ""
    yield "Runs of 30 days", money(spent, "USD"), f"{len(month)} priced as on AWS{budget}", ""
    at_work = next((run for run in board.runs if run.status not in FINAL_STATUSES), None)
    if at_work is not None:
        stage = at_work.stages[-1].stage if at_work.stages else "collect"
        yield "At work", stage, f"run {at_work.run_id}, begun {ago(moment_of(at_work.created_at), board.now)}", ""


def _champion(board: Board) -> tuple[str, str, str, str]:
    if board.champion is None:
        return "Champion", "none", "nothing is served yet", "soft"
    run = next((run for run in board.runs if run.model_version == board.champion), None)
    made = next((one for one in board.promotions if one.version == board.champion), None)
    chosen = f"{run.chosen}, " if run and run.chosen else ""
    since = f"since {when(moment_of(made.at))} ({ago(moment_of(made.at), board.now)})" if made else "served"
    return "Champion", f"version {board.champion}", f"{chosen}{since}", ""


def _worth(board: Board) -> Iterator[tuple[str, str, str, str]]:
    metric = board.about.metric
    for name, field in (("estimated", "estimated"), ("realised", "realised")):
        found = next((record for record in board.windows if metric in getattr(record, field)), None)
        if found is not None:
            figure = getattr(found, field)[metric]
            before = f"; {number(figure.before)} when accepted" if figure.before is not None else ""
            ends = f"{number(figure.lower)} to {number(figure.upper)}"
            yield f"{metric}, {name}", number(figure.value), f"{ends}{before}", ""
    currency = board.about.currency
    worthy = next((record for record in board.windows if currency and gain_words(record, currency)), None)
    if worthy is not None and currency:
        amount, _, how = gain_words(worthy, currency).rpartition(" ")
        yield "Gain of a window", amount, f"{how}; {when(moment_of(worthy.start))}", ""


def alarms(board: Board) -> str:
    """Return all alarms, those that ring first."""
    if not board.alarms:
        return ""
    order = ("ALARM", "OK", "INSUFFICIENT_DATA")
    found = sorted(board.alarms, key=lambda alarm: (order.index(alarm.state), alarm.name))
    told = {"page": "wakes people", "notify": "tells people", "nobody": "a state to look at"}
    rows = "".join(
        f'<tr><td title="{escape(alarm.name)}">{escape(alarm.short)}</td><td class="state">{state_words(alarm)}</td>'
        f'<td class="state">{when(alarm.since)}</td><td>{told[alarm.told]}</td>'
        f"<td>{with_code(alarm.description.removeprefix(f'{board.project}: '))}</td></tr>"
        for alarm in found
    )
    ringing = sum(alarm.state == "ALARM" for alarm in board.alarms)
    summary = f"{len(found)} alarms, {ringing or 'none'} of them ring{'s' if ringing == 1 else ''}"
    return (
        f"<h2>Alarms</h2><details{' open' if ringing else ''}><summary>{summary}</summary>"
        f"{_table('Alarms', ('Alarm', 'State', 'Since', 'Tells', 'Means'), rows)}</details>"
    )


def runs(board: Board) -> str:
    """Return the newest runs."""
    if not board.runs:
        return "<h2>Runs</h2><p class='panel empty'>No run yet.</p>"
    rows = "".join(map(_run, board.runs[:_RUNS]))
    heads = ("Run", "Status", "Begun", "Why", "Chosen", "Version", "USD on AWS")
    return f"<h2>Runs</h2>{_table('Runs', heads, rows)}"


def _run(run: RunRecord) -> str:
    kind, mark = _STATES.get(run.status, ("soft", "·"))
    why = run.why_begun or ", ".join(file.key.rpartition("/")[2] for file in run.files[:3])
    cost = f"{run.cost.known_usd:.4f}" if run.cost and run.cost.known_usd is not None else ""
    return (
        f'<tr><td><code>{escape(run.run_id)}</code></td><td class="{kind}">{mark} {escape(run.status)}</td>'
        f"<td>{when(moment_of(run.created_at))}</td><td>{escape(why)}</td><td>{escape(run.chosen or '')}</td>"
        f'<td>{escape(run.model_version or "")}</td><td class="number">{cost}</td></tr>'
    )


def promotions(board: Board) -> str:
    """Return the latest changes of the champion."""
    if not board.promotions:
        return ""
    rows = "".join(
        f"<tr><td>{when(moment_of(one.at))}</td><td>version {escape(one.version)}"
        f"{f' after {escape(one.before)}' if one.before else ''}</td><td>{escape(one.asked.how)}</td>"
        f"<td>{escape(one.asked.reason)}</td></tr>"
        for one in board.promotions[:_PROMOTIONS]
    )
    return f"<h2>Champions</h2>{_table('Champions', ('When', 'Champion', 'By', 'Reason'), rows)}"


def _table(name: str, heads: Sequence[str], rows: str) -> str:
    """Return a table that scrolls where it is too wide, by keys too."""
    named = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="panel wide" tabindex="0" role="region" aria-label="{name}"><table><thead><tr>{named}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
