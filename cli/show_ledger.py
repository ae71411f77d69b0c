"""How the ledger looks on the console, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerelle.contracts.ledger import OWN, Charge
from passerelle.domain.cost.ledger.idle import Idleness, idle_usd
from passerelle.domain.cost.ledger.sums import (
    Sum,
    experiments,
    grouped,
    per_thousand_requests,
    spot,
    total,
    training_runs,
    unpriced,
)

NOTE = "List prices without discounts, taxes and free tiers; what runs for all projects (MLflow, network) is not in it."
_NONE = {"run": "no run", "model": "no model", "experiment": "no experiment"}


def show_ledger(
    console: Console,
    charges: Sequence[Charge],
    idle: Sequence[Idleness],
    *,
    project: str | None,
    month: str,
    by: str,
) -> None:
    """Print a month: sums, unit costs, what spot saved, what is idle, what has no price."""
    whose = escape(project) if project else "all projects"
    if not charges:
        console.print(
            f"The ledger has no lines of {whose} in {month}. `passerelle cost ledger --meter {month}` asks AWS."
        )
        return
    console.print(f"\n[bold]Costs of {whose} in {month}[/] [dim](UTC; {len(charges):,} lines)[/]")
    table = Table(by.capitalize(), box=None, padding=(0, 2))
    for heading in ("USD", "Lines", "Without a price"):
        table.add_column(heading, justify="right")
    for name, found in grouped(charges, by).items():
        table.add_row(escape(name or _NONE.get(by, "-")), usd(found), f"{found.lines:,}", f"{found.unknown or ''}")
    table.add_section()
    whole = total(charges)
    table.add_row("[bold]total[/]", f"[bold]{usd(whole)}[/]", f"{whole.lines:,}", f"{whole.unknown or ''}")
    console.print(table)
    _show_units(console, charges)
    _show_idle(console, idle)
    _show_unpriced(console, charges)
    console.print(f"[dim]{NOTE}[/]")


def usd(found: Sum) -> str:
    """Return a sum; one with lines that have no price is a floor."""
    if found.unknown == found.lines and found.lines:
        return "unknown"
    return f"{'' if found.complete else '≥ '}{_amount(found.usd)}"


def _amount(value: float) -> str:
    """Return USD with cents, of less than ten cents with as many digits as show something."""
    return f"{value:,.2f}" if value >= 0.1 or value == 0 else f"{value:.4g}"


def _show_units(console: Console, charges: Sequence[Charge]) -> None:
    runs, asked, saved = training_runs(charges), per_thousand_requests(charges), spot(charges)
    if runs:
        known = [found.usd for found in runs.values() if found.complete]
        if known:
            dearest, mean = max(known), sum(known) / len(known)
            console.print(f"A training run: {_amount(mean)} USD on average of {len(known)}, at most {_amount(dearest)}")
    if asked is not None:
        console.print(f"A thousand requests: {_amount(asked)} USD")
    for name, found in experiments(charges).items():
        console.print(f"Experiment {escape(name)}: {usd(found)} USD")
    if saved.jobs or saved.unknown:
        share = f" ({saved.share:.0%})" if saved.share is not None else ""
        told = f"Spot saved {_amount(saved.saved_usd)} USD{share} in {saved.jobs} jobs"
        console.print(told + (f"; of {saved.unknown} nobody knows" if saved.unknown else ""))


def _show_idle(console: Console, found: Sequence[Idleness]) -> None:
    for one in found:
        if one.wasted:
            cost = "unknown" if one.usd_per_month is None else _amount(one.usd_per_month)
            asked = f"{one.requests:,.0f} requests in {one.instance_hours:,.0f} instance-hours"
            console.print(f"[yellow]![/] {escape(one.resource)} is {one.use}: {asked}, {cost} USD a month")


def _show_unpriced(console: Console, charges: Sequence[Charge]) -> None:
    for (service, region, sku), lines in unpriced(charges).items():
        quantities = [one.quantity for one in lines if one.quantity is not None]
        used = f"{sum(quantities):,.4g} {lines[0].unit}" if quantities else "an unknown quantity"
        why = "no price is known" if lines[0].unit_price_usd is None else "nobody says how much was used"
        console.print(f"[yellow]![/] {escape(f'{service}, {sku}, {region}')}: {used} in {len(lines)} lines, {why}")


def document(
    charges: Sequence[Charge], idle: Sequence[Idleness], *, project: str | None, month: str, by: str
) -> dict[str, Any]:
    """Return all of it for machines."""
    saved, (wasted, unknown) = spot(charges), idle_usd(idle)
    return {
        "project": project,
        "month": month,
        "by": by,
        "groups": {name: _sum(found) for name, found in grouped(charges, by).items()},
        "total": _sum(total(charges)),
        "own": _sum(total(charge for charge in charges if charge.project == OWN)),
        "runs": {name: _sum(found) for name, found in training_runs(charges).items()},
        "experiments": {name: _sum(found) for name, found in experiments(charges).items()},
        "usd_per_1000_requests": per_thousand_requests(charges),
        "spot": {**vars(saved), "saved_usd": saved.saved_usd, "share": saved.share},
        "idle": {"usd_per_month": wasted, "without_price": unknown, "endpoints": [vars(one) for one in idle]},
        "unpriced": [
            {"service": service, "region": region, "sku": sku, "lines": len(lines)}
            for (service, region, sku), lines in unpriced(charges).items()
        ],
        "lines": [charge.model_dump() for charge in charges],
    }


def _sum(found: Sum) -> dict[str, Any]:
    return {"usd": found.usd, "unknown": found.unknown, "lines": found.lines, "complete": found.complete}
