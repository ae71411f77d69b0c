"""`passerelle backup`: keep what cannot be rebuilt from code, and check that it is still whole."""

from __future__ import annotations

import click

from cli.recovery import copy_database, place_of, progress_bars, store_at
from cli.session import Session, common_options


@click.group(invoke_without_command=True)
@click.option("--to", "address", help="A folder, or s3://bucket/prefix. Backups there share unchanged objects.")
@common_options
@click.pass_context
def backup(ctx: click.Context, address: str | None, environment: str | None, as_json: bool) -> None:
    """Back up all zones, MLflow's database and the runs table; `backup verify FOLDER` checks a backup.

    On AWS the database is kept as an RDS snapshot. An interrupted backup is never restored; run the command again.
    """
    from passerelle.steps.back_up import back_up

    ctx.obj = session = ctx.obj.told(environment, as_json)
    if ctx.invoked_subcommand:
        return
    if address is None:
        raise click.UsageError("Say where to: --to FOLDER or --to s3://bucket/prefix.", ctx)
    store, place = store_at(session, address), place_of(session)
    with progress_bars(session) as progress:
        made = back_up(place, store, lambda name, path: copy_database(session, name, path, progress), progress)
    index = made.index
    if session.as_json:
        document = index.model_dump(mode="json")
        session.print_json(document | {"copied": made.copied, "copied_bytes": made.copied_bytes, "to": store.address})
        return
    console = session.console
    console.print(
        f"[green]✓[/] Backup {index.id} in {store.address}: {index.objects:,} objects, {index.bytes:,} bytes; "
        f"copied {made.copied:,}, {made.copied_bytes:,} bytes."
    )
    if index.database.snapshot_arn:
        console.print(f"MLflow's database: snapshot {index.database.snapshot_arn}", soft_wrap=True)
    if index.table_restorable_from:
        console.print(f"The runs table can also be restored to any second since {index.table_restorable_from}.")
    for served in index.served:
        console.print(
            f"Served: {served.project} version {served.model_version} ({served.endpoint_status or 'no endpoint'})"
        )
    if index.running:
        console.print(f"[yellow]![/] At work meanwhile, restored as failed: {', '.join(index.running)}.")


@backup.command()
@click.argument("address")
@click.option("--backup", "backup_id", help="Which one; the newest if not given.")
@click.pass_obj
def verify(session: Session, address: str, backup_id: str | None) -> None:
    """Recompute the digests of the backup in ADDRESS; a file that is damaged or missing is named."""
    from passerelle.steps.check_backup import choose
    from passerelle.steps.check_backup import verify as check

    store = store_at(session, address)
    index = choose(store, backup_id)
    with progress_bars(session) as progress:
        files = check(store, index, lambda done, total: progress("objects", done, total))
    if session.as_json:
        session.print_json({"backup": index.id, "files": files, "whole": True})
    else:
        session.console.print(f"[green]✓[/] Backup {index.id} is whole: {files:,} files have their digests.")
