"""`passerelle cost`: what things cost, before they are deployed and after they ran."""

from __future__ import annotations

from typing import Final

import click

from cli.lazy import LazyGroup

#: Subcommand -> module that holds a click command of the same name.
SUBCOMMANDS: Final = {
    "check": "cli.commands.cost_check",
    "compare": "cli.commands.cost_compare",
    "diff": "cli.commands.cost_diff",
    "estimate": "cli.commands.cost_estimate",
    "ledger": "cli.commands.cost_ledger",
    "prices": "cli.commands.cost_prices",
    "reconcile": "cli.commands.cost_reconcile",
}


@click.group(cls=LazyGroup, modules=SUBCOMMANDS)
def cost() -> None:
    """Prices with their sources and dates, and what things cost: before they are deployed, and after they ran."""
