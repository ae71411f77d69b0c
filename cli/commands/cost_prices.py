"""`passerelle cost prices`: the table of prices, with where and when each was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from cli.session import Session, common_options

if TYPE_CHECKING:
    from passerelle.domain.cost.prices import PriceRow


@click.group(invoke_without_command=True)
@click.option("--service", help="Only services whose name holds this, such as SageMaker.")
@click.option("--region", help="Only this region, such as us-east-1.")
@click.option("--sku", help="Only things whose name holds this, such as ml.m5.")
@click.option("--unknown", is_flag=True, help="Only what was looked for and has no price.")
@click.option("--old", is_flag=True, help="Only prices older than --days, or without a date.")
@click.option("--days", type=click.IntRange(1), help="From which age on a price is old; default: 180.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_context
def prices(
    ctx: click.Context,
    service: str | None,
    region: str | None,
    sku: str | None,
    unknown: bool,
    old: bool,
    days: int | None,
    as_json: bool,
) -> None:
    """Show the prices that every figure is computed from: unit, region, source, date and age."""
    if ctx.invoked_subcommand:
        return
    from passerelle.domain.cost.prices import STALE_DAYS, price_rows

    session: Session = ctx.obj.told(None, as_json)
    limit, today = days or STALE_DAYS, datetime.now(UTC).date()
    found = [
        row
        for row in price_rows()
        if (service or "").lower() in row.service.lower()
        and (sku or "").lower() in row.sku.lower()
        and region in (None, row.region)
        and (row.usd is None or not unknown)
        and (_is_old(row, today, limit) or not old)
    ]
    if session.as_json:
        session.print_json([_document(row, today, limit) for row in found])
    else:
        _show(session, found, today, limit)


def _is_old(row: PriceRow, today: date, limit: int) -> bool:
    age = row.age_days(today)
    return row.usd is not None and (age is None or age > limit)


def _document(row: PriceRow, today: date, limit: int) -> dict[str, object]:
    return {
        "service": row.service,
        "region": row.region,
        "sku": row.sku,
        "unit": row.unit,
        "usd": row.usd,
        "source": row.source,
        "as_of": row.as_of,
        "derived": row.derived,
        "age_days": row.age_days(today),
        "old": _is_old(row, today, limit),
    }


def _show(session: Session, rows: Sequence[PriceRow], today: date, limit: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Service", "Region", "What", "USD", "Unit", "Read", "Age", "Source"):
        # On a narrow terminal words are folded, and no figure or name loses its end.
        table.add_column(heading, overflow="fold", no_wrap=heading == "USD")
    for row in rows:
        age = row.age_days(today)
        days = "" if row.usd is None else "undated" if age is None else f"{age} d"
        usd = "unknown" if row.usd is None else f"{row.usd:.10g}{' (derived)' if row.derived else ''}"
        shown = f"[yellow]{days}[/]" if _is_old(row, today, limit) else days
        texts = (row.service, row.region, row.sku, usd, row.unit, row.as_of)
        table.add_row(*(escape(text) for text in texts), shown, escape(row.source))
    session.console.print(table)
    unknown, old = sum(row.usd is None for row in rows), sum(_is_old(row, today, limit) for row in rows)
    session.console.print(f"{len(rows)} rows: {unknown} unknown, {old} older than {limit} days or undated.")
    if old:
        session.console.print(
            "[yellow]Old prices may be wrong:[/] `passerelle --env ENV cost prices update` reads AWS's."
        )


@prices.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@common_options
@click.pass_obj
def update(session: Session, dry_run: bool, environment: str | None, as_json: bool) -> None:
    """Read the prices of the environment's region from AWS's Price List, with your credentials.

    They are laid over Passerelle's own table, in passerelle/domain/cost/prices_updated.csv: commit it, and functions
    and jobs price with it from the next deployment on. Needs pricing:GetProducts; asking costs nothing.
    """
    from cli.price_update import update_prices

    session = session.told(environment, as_json)
    done = update_prices(session, dry_run=dry_run)
    if session.as_json:
        session.print_json(done)
