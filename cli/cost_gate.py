"""The gate before a deployment: the estimate against the budgets of the environment and its projects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.estimate.gate import Verdict
    from passerelle.domain.cost.estimate.usage import Usage


def check_budgets(session: Session, assembly: Path, usage: Usage | None = None) -> list[Verdict]:
    """Print every budget with what the estimate says, and return them.

    Raises InputError naming each budget that is exceeded, with the remedy, where nobody has waived it.
    """
    from cli.account import load_environment
    from cli.deployment import ROOT
    from cli.estimating import estimate_environment
    from passerelle.domain.cost.estimate.gate import Waiver, judge
    from passerelle.domain.cost.estimate.usage import Usage

    environment, projects = load_environment(session.environment, ROOT)
    found = estimate_environment(session, usage=usage or Usage(), assembly=assembly)
    budget = environment.budget
    verdicts = list(
        judge(
            found,
            environment=environment.name,
            budget=budget.monthly_usd if budget else None,
            projects={project.name: project.budget.monthly_usd for project in projects},
            waivers=[Waiver(**dict(waiver)) for waiver in (budget.waivers if budget else ())],
            today=datetime.now(UTC).date(),
        )
    )
    for verdict in verdicts:
        mark = "[green]✓[/]" if verdict.allowed else "[red]✗[/]"
        session.console.print(f"{mark} Estimate for {escape(verdict.words)}", soft_wrap=True)
    refused = [verdict.words for verdict in verdicts if not verdict.allowed]
    if refused:
        raise InputError(
            f"Not deployed, the estimate is above a budget: {'. '.join(refused)}. "
            f"`passerelle --env {environment.name} cost estimate` shows what costs how much; make it cheaper, raise "
            f"budget.monthly_usd, or write a waiver with up_to_usd, name, reason and expires below budget.waivers in "
            f"environments/{environment.name}.yaml (docs/cost.md)."
        )
    return verdicts
