"""`passerelle cost reconcile`: the ledger beside AWS's own bill, by service."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.bill import Billed, Difference


@click.command()
@click.option("--month", help="yyyy-mm, UTC; without it this month.")
@click.option("--export", "exports", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True,
              metavar="FILE", help="A file of a CUR 2.0 export (Parquet, CSV, also .gz), may be repeated; without it "
              "Cost Explorer is asked, which AWS charges for.")  # fmt: skip
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def reconcile(
    session: Session, month: str | None, exports: tuple[Path, ...], environment: str | None, as_json: bool
) -> None:
    """Compare what the ledger metered with what AWS billed, service by service, and say what a difference may mean.

    Both are of the environment by its tag, list prices here, the bill's prices there. The newest two days are left
    out: they are not billed whole yet. The laptop has no bill of its own: give it one with --export.
    """
    from passerelle.aws.metered import read_ledger
    from passerelle.domain.cost.bill import compared

    session = session.told(environment, as_json)
    if session.on_laptop and not exports:
        raise InputError(
            "The laptop has no bill. Name an environment of an account with --env, or a file of a CUR 2.0 export with "
            "--export."
        )
    first, end = _period(month)
    charges = [line for line in read_ledger(session.platform, None, f"{first:%Y-%m}") if line.day < str(end)]
    billed, requests = _billed(session, exports, first, end)
    found = compared(charges, billed, newest_day=str(end - timedelta(days=1)))
    if session.as_json:
        lines = [asdict(each) | {"difference_usd": each.usd} for each in found]
        session.print_json({"first": str(first), "end": str(end), "requests": requests, "services": lines})
    else:
        _show(session, found, first, end, requests)


def _period(month: str | None) -> tuple[date, date]:
    """Return the first day of a month, and the day after the last one that can be billed whole."""
    from passerelle.domain.cost.bill import LAG_DAYS

    today = _today()
    if month is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise InputError(f"--month {month!r} is no month; write for example 2026-11.")
    first = date.fromisoformat(f"{month}-01") if month else today.replace(day=1)
    end = min((first + timedelta(days=31)).replace(day=1), today - timedelta(days=LAG_DAYS - 1))
    if end <= first:
        raise InputError(f"{first:%Y-%m} has no day that is billed whole yet; the month before has: --month.")
    return first, end


def _today() -> date:
    return datetime.now(UTC).date()


def _billed(session: Session, exports: tuple[Path, ...], first: date, end: date) -> tuple[list[Billed], int]:
    from passerelle.aws.bill import from_cost_explorer, from_export
    from passerelle.aws.deployed import refusals_translated

    if exports:
        return from_export(exports, session.environment, first, end), 0
    with session.console.status("Asking Cost Explorer"), refusals_translated(session.environment):
        return from_cost_explorer(session.platform.client("ce"), session.environment, first, end)


def _show(session: Session, found: tuple[Difference, ...], first: date, end: date, requests: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    from passerelle.domain.cost.bill import totals
    from passerelle.domain.cost.prices import find_price

    console = session.console
    console.print(f"\n[bold]Ledger and bill of {session.environment}[/], {first} to {end - timedelta(days=1)} (UTC)")
    if not found:
        console.print("Neither has a line. `passerelle cost ledger --meter MONTH` meters a month.")
        return
    table = Table("Service", box=None, padding=(0, 2))
    for heading in ("Ledger, USD", "Bill, USD", "Bill more by"):
        table.add_column(heading, justify="right")
    table.add_column("What to make of it")
    for each in found:
        floor = "≥ " if each.unpriced else ""
        mark = "[green]✓[/] " if each.agrees else ""
        table.add_row(escape(each.service), f"{floor}{each.ledger_usd:,.2f}", f"{each.billed_usd:,.2f}",
                      f"{each.usd:+,.2f}", mark + escape(each.words))  # fmt: skip
    table.add_section()
    ours, theirs = totals(found)
    table.add_row("[bold]total[/]", f"{ours:,.2f}", f"{theirs:,.2f}", f"{theirs - ours:+,.2f}", "")
    console.print(table)
    if requests:
        price = find_price("Cost Explorer API", "global", "USE1-APIRequest")
        cost = "an unknown price" if price is None else f"{price.usd:g} USD"
        console.print(f"[dim]Cost Explorer was asked {requests} times, at {cost} each.[/]")
