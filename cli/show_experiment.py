"""How an A/B test, and a shadow with labels, look on the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerelle.contracts.ab_tests import AbReading
from passerelle.contracts.experiment import Check, ShadowEvidence
from passerelle.contracts.runs import RunRecord
from passerelle.domain.experiment.checks import in_words

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
    _show_checks(console, found.checks)
    if not reading.labelled:
        console.print("Without outcomes nothing is decided: give files of labels with --outcomes.")
    if not test.ended:
        console.print(_NEXT[found.verdict].format(project=test.project))
    console.print(f"[dim]Kept in {uri}[/]", soft_wrap=True)


def show_evidence(console: Console, record: RunRecord, evidence: ShadowEvidence, uri: str) -> None:
    """Print what a shadow shows with labels, and what follows."""
    console.print(
        f"\n[bold]Shadow[/] of run {record.run_id} (version {record.model_version}) with labels: "
        f"[bold]{evidence.verdict}[/]; without them it was {record.shadow['verdict']}"
    )
    table = Table("", "Rows", "Champion", "Challenger", "Better by", "p", "Test", box=None, padding=(0, 2))
    for test in evidence.tests:
        better = in_words(test.better, sign=True)
        figures = f"{test.champion:.5g}", f"{test.challenger:.5g}", better, f"{test.p_value:.2g}"
        table.add_row(test.of, f"{test.rows:,}", *figures, test.method.replace("_", " "))
    console.print(table)
    _show_checks(console, evidence.checks)
    if evidence.verdict == "promote" and record.endpoint_name is None:
        console.print(f"`passerelle promote {record.project} --version {record.model_version}` has it tried again.")
    console.print(f"[dim]Kept in {uri}[/]", soft_wrap=True)


def _show_checks(console: Console, checks: Sequence[Check]) -> None:
    for check in checks:
        console.print(f"{_SIGNS[check.outcome]} {escape(check.words)}", soft_wrap=True)
