"""`passerelle cost ledger`: what everything did cost, and what that is for a run, a request, an experiment."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.contracts.ledger import Charge

BY: Final = ("stage", "run", "model", "service", "day", "experiment", "resource")


@click.command()
@click.option("--project", help="Only this one; without it all of them, and what belongs to none.")
@click.option("--month", help="yyyy-mm, UTC; without it this month.")
@click.option("--by", type=click.Choice(BY), default="stage", show_default=True, help="What the lines are added up by.")
@click.option("--focus", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.csv|.parquet",
              help="Write the lines as FOCUS 1.2, too.")  # fmt: skip
@click.option("--meter", metavar="DAY|MONTH", help="Meter a day (yyyy-mm-dd), a month (yyyy-mm) or `now` first.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def ledger(
    session: Session,
    project: str | None,
    month: str | None,
    by: str,
    focus: Path | None,
    meter: str | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """Show what a month did cost, metered after the fact; on the laptop, what the same work would have cost on AWS.

    List prices without discounts, taxes and free tiers. What has no price is listed and is no zero: the total is a
    floor then. docs/ledger.md says what is metered, when and from what.
    """
    from rich.markup import escape

    from cli.show_ledger import document, show_ledger
    from passerelle.aws.metered import meter_now, read_fortnight, read_ledger
    from passerelle.domain.cost.ledger.idle import idle_endpoints

    session = session.told(environment, as_json)
    wanted = _month(month)
    if focus and focus.suffix not in (".csv", ".parquet"):
        raise InputError(f"--focus {focus}: the file's name says its form. Let it end in .csv or .parquet.")
    if meter:
        with session.console.status("Asking AWS what ran, and for how long"):
            told = meter_now(session.platform, _request(meter))
        session.console.print(f"[green]✓[/] {told['lines']} lines from {told['first']} to {told['last']} (UTC)")
        for problem in told["problems"]:
            session.console.print(f"[red]✗[/] not metered: {escape(problem)}")
    charges = read_ledger(session.platform, project, wanted)
    if focus:
        rows = _write_focus(charges, focus)
        session.console.print(f"[green]✓[/] {focus}: {rows} rows, {len(charges) - rows} lines without a price left out")
    last = date.fromisoformat(max((charge.day for charge in charges), default=f"{wanted}-01"))
    idle = idle_endpoints(read_fortnight(session.platform, project, last), last)
    if session.as_json:
        session.print_json(document(charges, idle, project=project, month=wanted, by=by))
    else:
        show_ledger(session.console, charges, idle, project=project, month=wanted, by=by)


def _month(text: str | None) -> str:
    if text is None:
        return f"{datetime.now(UTC):%Y-%m}"
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise InputError(f"--month {text!r} is no month; write for example 2026-11.")
    return text


def _request(meter: str) -> dict[str, str]:
    if meter == "now":
        return {}
    return {"day" if meter.count("-") == 2 else "month": meter}


def _write_focus(charges: list[Charge], path: Path) -> int:
    from passerelle.domain.cost.ledger.focus import COLUMNS, csv_cells, focus_rows

    rows = list(focus_rows(charges))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        _write_parquet(rows, path)
        return len(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(csv_cells(row) for row in rows)
    return len(rows)


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    from passerelle.aws.parquet_file import write_parquet
    from passerelle.contracts.prediction import RecordType
    from passerelle.domain.cost.ledger.focus import COLUMNS, NUMBERS, TIMES

    def type_of(name: str) -> RecordType:
        return "number" if name in NUMBERS else "datetime" if name in TIMES else "text"

    write_parquet(path, tuple((name, type_of(name)) for name in COLUMNS), rows)
