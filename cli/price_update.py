"""Bring a region's prices up to date, into the table that is laid over the packaged one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape

from cli.session import Session
from passerelle.domain.cost import prices
from passerelle.domain.cost.refresh import queries, refreshed, to_csv
from passerelle.errors import SettingsError

if TYPE_CHECKING:
    from passerelle.aws.price_list import PriceList
    from passerelle.domain.cost.prices import PriceRow

#: Smaller changes are roundings.
_CHANGE: Final = 0.001


def update_prices(
    session: Session,
    *,
    dry_run: bool,
    open_list: Callable[[str], PriceList] | None = None,
    path: Path | None = None,
) -> dict[str, Any]:
    """Return what was read and what changes; writes the table unless it is a trial."""
    from cli.account import load_environment
    from cli.deployment import ROOT
    from passerelle.aws.price_list import PriceList

    region = load_environment(session.environment, ROOT)[0].region
    source = (open_list or PriceList.on_aws)(region)
    answers = ((query, source.products(query.service_code, query.filters)) for query in queries(region))
    found = refreshed(region, answers)
    if not found.rows:
        raise SettingsError(f"The Price List has not one price of {region} that is known here; nothing is changed.")
    changes = list(_changes(found.rows.values()))
    target = path or Path(prices.__file__).with_name(prices.UPDATED)
    if not dry_run:
        _write(target, region, list(found.rows.values()))
    for change in changes:
        session.console.print(
            f"{escape(change['service'])} {escape(change['sku'])}: {change['before']:g} → {change['usd']:g} USD"
        )
    for problem in found.problems:
        session.console.print(f"[yellow]![/] {escape(problem)}", soft_wrap=True)
    done = "would be written" if dry_run else "written"
    session.console.print(f"{len(found.rows)} prices of {region}, {len(changes)} of them changed, {done} to {target}")
    return {
        "region": region,
        "prices": len(found.rows),
        "changes": changes,
        "problems": found.problems,
        "file": None if dry_run else str(target),
    }


def _changes(rows: Any) -> Iterator[dict[str, Any]]:
    for row in rows:
        before = prices.find_price(row.service, row.region, row.sku)
        if before and abs(row.usd - before.usd) > _CHANGE * before.usd:
            yield {"service": row.service, "sku": row.sku, "before": before.usd, "usd": row.usd}


def _write(path: Path, region: str, rows: list[PriceRow]) -> None:
    """Replace the region's rows, and keep those of other regions."""
    kept: list[PriceRow] = []
    try:
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [row for row in prices.read_rows(lines, derived=False) if row.region != region]
        path.write_text(to_csv([*kept, *rows]), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}. Run this in a checkout of your own.") from error
