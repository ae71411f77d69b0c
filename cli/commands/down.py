"""`passerelle down`: stop the laptop platform."""

from __future__ import annotations

import click

from cli.session import Session


@click.command()
@click.option("--delete-state", is_flag=True, help="Also delete all data, models and runs of the laptop platform.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@click.pass_obj
def down(session: Session, delete_state: bool, yes: bool) -> None:
    """Stop the laptop platform; its state stays, and `passerelle up` goes on from there.

    A run at work is interrupted and continues after the next `up`.
    """
    from laptop.platform import delete_state as laptop_delete_state
    from laptop.platform import down as laptop_down

    session.need_laptop("down")
    home = session.laptop_settings.home
    if delete_state and not yes:
        click.confirm(f"Delete everything in {home}?", abort=True, err=True)
    laptop_down(session.laptop_settings)
    if delete_state:
        laptop_delete_state(session.laptop_settings)
    if session.as_json:
        session.print_json({"running": False, "state_deleted": delete_state, "home": str(home)})
    else:
        kept = "state deleted" if delete_state else f"state kept in {home}"
        session.console.print(f"[green]✓[/] Platform stopped, {kept}.")
