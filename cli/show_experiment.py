"""How an A/B test looks on the console."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerelle.contracts.ab_tests import AbReading

_SIGNS: Final = {"holds": "[green]✓[/]", "open": "[yellow]…[/]", "fails": "[red]✗[/]"}
_NEXT: Final = {
    "promote": "[green]The challenger is better:[/] `passerelle experiment stop {project} --promote`.",
    "reject": "[red]The challenger is not better by what matters, or its time is over:[/] "
    "`passerelle experiment stop {project}`.",
    "keep": "The test goes on.",
}


def show_reading(console: Console, reading: AbReading, uri: str) -> None:
    """Print what an A/B test shows, and what follows."""
    test, found = reading.test, reading.evidence
    console.print(
        f"\n[bold]A/B test {test.name}[/] of {test.project}: version {test.version} answers {100 * test.share:g} % of "
        f"{escape(', '.join(test.entity))} beside version {test.champion}, since {test.started_at[:19]}"
    )
    if test.ended:
        console.print(f"Ended at {test.ended.at[:19]} ({test.ended.asked.how}): version {test.ended.served} serves.")
    console.print(
        f"{reading.predictions:,} predictions of {reading.entities:,} entities, {reading.labelled:,} with an outcome; "
        f"planned: {found.plan.entities:,} entities"
    )
    if found.effect:
        table = Table("", "Entities", f"Mean, {found.effect.unit}", box=None, padding=(0, 2))
        table.add_row("champion", f"{found.effect.champion_entities:,}", f"{found.effect.champion:.5g}")
        table.add_row("challenger", f"{found.effect.challenger_entities:,}", f"{found.effect.challenger:.5g}")
        console.print(table)
    for check in found.checks:
        console.print(f"{_SIGNS[check.outcome]} {escape(check.words)}", soft_wrap=True)
    if not reading.labelled:
        console.print("Without outcomes nothing is decided: give files of labels with --outcomes.")
    if not test.ended:
        console.print(_NEXT[found.verdict].format(project=test.project))
    console.print(f"[dim]Kept in {uri}[/]", soft_wrap=True)
