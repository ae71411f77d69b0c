"""`passerelle restore`: a backup into an environment that was built anew."""

from __future__ import annotations

import click

from cli.recovery import (
    need_database,
    place_of,
    progress_bars,
    put_database_back,
    store_at,
)
from cli.session import Session, common_options


@click.command()
@click.option("--from", "address", required=True, help="A folder of backups, or s3://bucket/prefix.")
@click.option("--backup", "backup_id", help="Which one; the newest if not given.")
@click.option("--overwrite", is_flag=True, help="Replace the runs and MLflow's database of an environment in use.")
@click.option("--yes", is_flag=True, help="Do not ask before overwriting.")
@click.option("--database-restored", is_flag=True, help="AWS: the tracking stack was made from the snapshot.")
@common_options
@click.pass_obj
def restore(
    session: Session,
    address: str,
    backup_id: str | None,
    overwrite: bool,
    yes: bool,
    database_restored: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Restore a backup into a fresh environment (after `up` and `deploy`), and serve what it served.

    Every digest is checked before anything is changed. After Ctrl-C or a crash, run the same command again.
    """
    from passerelle.steps.check_backup import choose, verify
    from passerelle.steps.restore_environment import (
        Journal,
        champions,
        need_restorable,
        restore_data,
        restore_database,
    )

    session = session.told(environment, as_json)
    store = store_at(session, address)
    index = choose(store, backup_id)
    need_database(session, index, already=database_restored)
    place, platform = place_of(session), session.platform
    journal = Journal(ssm=platform.client("ssm"), environment=session.environment)
    stage = need_restorable(index, place, platform.projects(), journal, overwrite=overwrite)
    if stage == "done":
        session.console.print(f"Backup {index.id} was restored here before. Nothing was changed.")
        _report(session, {"backup": index.id, "restored": False, "served": []})
        return
    if overwrite and not yes and stage is None:
        click.confirm(f"Replace runs and MLflow's database of {session.environment}?", abort=True, err=True)
    with progress_bars(session) as progress:
        verify(store, index, lambda done, total: progress("checking digests", done, total))
        if stage is None:
            journal.write(index.id, "started")
        change, items = restore_data(index, place, store, progress, fresh=stage is None)
    if stage != "database":
        journal.write(index.id, "data")
        restore_database(index, store, change, lambda path, buckets: put_database_back(session, path, buckets))
        journal.write(index.id, "database")
        session.console.print("[green]✓[/] Objects, runs and MLflow's database are back")
    served = _serve(session, champions(items))
    journal.write(index.id, "done")
    _report(session, {"backup": index.id, "restored": True, "served": served})


def _serve(session: Session, projects: list[str]) -> list[dict[str, object]]:
    from cli.commands.redeploy import serve

    return [serve(session, project, None) for project in projects]


def _report(session: Session, result: dict[str, object]) -> None:
    if session.as_json:
        session.print_json(result)
    elif result["restored"]:
        session.console.print(f"[green]✓[/] Backup {result['backup']} is restored. `passerelle runs` lists its runs.")
