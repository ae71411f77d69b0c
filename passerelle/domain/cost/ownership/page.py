"""The comparison as one HTML file without scripts, which fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from passerelle.domain.cost.ownership.chart import tornado_svg
from passerelle.domain.cost.ownership.comparison import Comparison
from passerelle.domain.cost.ownership.document import published
from passerelle.domain.cost.ownership.worded import (
    NAMES,
    NOTES,
    answers,
    even,
    even_hours,
    figure_ends,
    machines,
    money,
    percent,
    ranged,
    unit_of,
    use_of,
    useful_hour,
)
from passerelle.domain.dashboard.page import framed
from passerelle.domain.dashboard.words import with_code


def comparison_page(comparison: Comparison) -> str:
    """Return the page."""
    work = comparison.basis.workload
    first, *others = answers(comparison)
    body = [
        f"<header><div><h1>Cloud or on-premise: {escape(work.name)}</h1><p>{escape(machines(comparison))}</p></div>"
        f'<div class="soft"><p>{comparison.today.isoformat()} · {work.currency}</p></div></header><main>',
        f'<p class="verdict">{with_code(first)}</p>',
        *(f"<p>{with_code(sentence)}</p>" for sentence in others),
        "<h2>Three scenarios of use</h2>",
        _table(_HEADINGS, _scenario_rows(comparison)),
        "<h2>From which utilisation on</h2>",
        *_utilisation(comparison),
        "<h2>What the answer hangs on</h2>",
        f'<div class="panel">{tornado_svg(comparison)}</div>',
        f"<h2>What owning costs over {work.years} years at the expected use, {work.currency}</h2>",
        _table(("What", "Expected (low to high)"), ((kind, money(found)) for kind, found in comparison.lines.items())),
        "<h2>Every figure, with its date, its source and its interest</h2>",
        _table(("Figure", "Low", "Expected", "High", "Unit", "Date", "Source", "Bias"), _figure_rows(comparison)),
        "<h2>What others published</h2>",
        _table(("Source", "Date", "Finding", "Bias"), ([line[key] for key in _PUBLISHED] for line in published())),
        "<h2>How it is counted</h2>",
        *(f"<p>{escape(note)}</p>" for note in NOTES),
        "</main>",
    ]
    return framed(f"Cloud or on-premise: {work.name}", "\n".join(body))


_HEADINGS: Final = ("Use", "How", "Cost over the years", "A useful hour", "Even, month", "Even, hours", "Cheaper")
_PUBLISHED: Final = ("source", "as_of", "finding", "bias")


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="panel wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _scenario_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    hour = useful_hour(comparison)
    for scenario in comparison.scenarios:
        cost = f"{money(scenario.owned_per_useful_hour)} a {hour}"
        idle = f"{money(scenario.owned)}, of it {percent(scenario.idle_share)} for idle hours"
        yield f"{scenario.use}: {use_of(scenario)}", "owned", idle, cost, "", "", ""
        for beside in scenario.beside:
            cost = f"{money(beside.per_useful_hour)} a {hour}"
            yield "", beside.way, money(beside.total), cost, even(beside), even_hours(beside), beside.cheaper


def _utilisation(comparison: Comparison) -> Iterator[str]:
    for way, found in comparison.utilisation.items():
        yield f"<p>Beside {escape(way)}: owning costs less above {ranged(found, percent)} utilisation.</p>"
    if not comparison.utilisation:
        yield "<p>Renting costs the same whatever is done, so there is no such utilisation.</p>"


def _figure_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for figure in comparison.basis.figures.values():
        ends = figure_ends(figure)
        yield NAMES[figure.name], *ends, unit_of(figure), figure.as_of, figure.source, figure.bias
