"""A comparison of cloud and on-premise for people at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from passerelle.domain.cost.ownership.comparison import Comparison
from passerelle.domain.cost.ownership.sensitivity import Swing
from passerelle.domain.cost.ownership.worded import (
    NAMES,
    NOTES,
    amount,
    answers,
    difference_words,
    even,
    even_hours,
    figure_ends,
    machines,
    money,
    month,
    percent,
    ranged,
    swing_ends,
    unit_of,
    use_of,
    useful_hour,
)

if TYPE_CHECKING:
    from rich.console import Console

_BAR: Final = 40
_SHORT_BAR: Final = 16
#: From so many columns on there is room for the long bars.
_WIDE: Final = 130


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print the answer, the scenarios, what it hangs on, and every figure with its source."""
    work = comparison.basis.workload
    console.print(f"[bold]{escape(work.name)}[/]: {escape(machines(comparison))}", soft_wrap=True)
    for sentence in answers(comparison):
        console.print(escape(sentence), soft_wrap=True)
    for way, found in comparison.utilisation.items():
        told = f"Beside {way} owning costs less above {ranged(found, percent)} utilisation."
        console.print(told, soft_wrap=True)
    _show_scenarios(console, comparison)
    _show_lines(console, comparison)
    _show_tornado(console, comparison)
    _show_figures(console, comparison)
    for note in NOTES:
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=True)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _show_scenarios(console: Console, comparison: Comparison) -> None:
    work, hour = comparison.basis.workload, useful_hour(comparison)
    table = _table(
        f"\nThree scenarios of use, {work.currency}: expected (low to high)",
        "Use", "How", f"{work.years} years", f"A useful {hour}", "Even, month", "Even, hours", "Cheaper",
    )  # fmt: skip
    for scenario in comparison.scenarios:
        idle = f"owned, {percent(scenario.idle_share)} idle"
        table.add_row(f"{scenario.use}: {use_of(scenario)}", idle, money(scenario.owned), money(
            scenario.owned_per_useful_hour), "", "", "")  # fmt: skip
        for beside in scenario.beside:
            cost = money(beside.per_useful_hour)
            table.add_row("", beside.way, money(beside.total), cost, even(beside), even_hours(beside), beside.cheaper)
    console.print(table)


def _show_lines(console: Console, comparison: Comparison) -> None:
    parts = "; ".join(f"{kind} {money(found)}" for kind, found in comparison.lines.items())
    console.print(f"\nOwning at the expected use, {comparison.basis.workload.currency}: {parts}.", soft_wrap=True)


def _show_tornado(console: Console, comparison: Comparison) -> None:
    middle = comparison.difference.expected or 0.0
    ends = [middle, *(end for swing in comparison.swings for end in swing.difference)]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0
    size = _BAR if console.width >= _WIDE else _SHORT_BAR
    told = "below 0 owning costs less. Each figure by itself, low (-) to high (+)"
    headings = ("Figure", "From, to", "", "Low end", "High end", "Even, month")
    table = _table(f"\n{difference_words(comparison)}; {told}", *headings)
    table.columns[headings.index("")].no_wrap = True
    for swing in comparison.swings:
        bar = _bar(swing, lambda value: round((size - 1) * (value - low) / span), middle, size)
        months = f"{month(swing.months[0])}, {month(swing.months[1])}"
        table.add_row(swing.driver, swing_ends(swing), bar, *map(amount, swing.difference), months)
    console.print(table)


def _bar(swing: Swing, place: Callable[[float], int], middle: float, size: int) -> str:
    """Return a bar of text: `-` towards the low end of the figure, `+` towards its high end, `|` what is expected."""
    drawn = [" "] * size
    for sign, end in zip("-+", swing.difference, strict=True):
        first, last = sorted((place(middle), place(end)))
        drawn[first : last + 1] = sign * (last + 1 - first)
    drawn[place(middle)] = "|"
    return "".join(drawn)


def _show_figures(console: Console, comparison: Comparison) -> None:
    headings = ("Figure", "Low", "Expected", "High", "Unit", "Date", "Source and bias")
    table = _table("\nWhat it rests on", *headings)
    for figure in comparison.basis.figures.values():
        told = escape(f"{figure.source}. {figure.bias}")
        table.add_row(NAMES[figure.name], *figure_ends(figure), unit_of(figure), figure.as_of, told)
    console.print(table)
