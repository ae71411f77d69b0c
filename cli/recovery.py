"""What backup and restore share: the environment as they see it, its database, their progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.session import Session
from passerelle.contracts.backup import MLFLOW_STORE, BackupIndex, DatabaseCopy
from passerelle.contracts.zones import ZONES
from passerelle.errors import InputError, SettingsError

if TYPE_CHECKING:
    from passerelle.aws.backup_store import BackupStore
    from passerelle.steps.back_up import Place, Progress


def place_of(session: Session) -> Place:
    """Return the deployed environment.

    Raises SettingsError when it is not deployed, TransientError when it does not answer.
    """
    from passerelle.steps.back_up import Place

    platform = session.platform
    buckets = {zone: platform.resource(f"{zone}-bucket") for zone in ZONES}
    tracking = ""
    if session.on_laptop:
        from laptop.mlflow_server import ARTIFACT_BUCKET

        buckets[MLFLOW_STORE] = ARTIFACT_BUCKET
        tracking = session.laptop_settings.mlflow_url

    def endpoint_status(project: str) -> str | None:
        found = platform.endpoint_status(project)
        return str(found["EndpointStatus"]) if found else None

    return Place(
        environment=session.environment,
        account=str(platform.client("sts").get_caller_identity()["Account"]),
        region=str(platform.client("s3").meta.region_name),
        buckets=buckets,
        table=platform.resource("runs-table"),
        tracking_url=tracking,
        clients=platform.client,
        endpoint_status=endpoint_status,
    )


def store_at(session: Session, address: str) -> BackupStore:
    """Return the backups at an address; a bucket is reached as the environment is."""
    from passerelle.aws.backup_store import open_store

    return open_store(address, lambda: session.platform.client("s3"))


def copy_database(session: Session, backup_id: str, path: Path, progress: Progress) -> DatabaseCopy:
    """Dump MLflow's database on the laptop, take a snapshot on AWS; where another server is used, nothing is there."""
    progress("MLflow's database", 0, 100)
    if session.on_laptop:
        from laptop.database_copy import dump

        copied = DatabaseCopy(kind="dump", schema_revision=dump(session.laptop_settings, path))
        progress("MLflow's database", 100, 100)
        return copied
    from passerelle.aws.database_snapshot import snapshot_name, take_snapshot

    try:
        instance = session.platform.resource("tracking-database")
    except SettingsError:
        _need_foreign_server(session)
        return DatabaseCopy(kind="none")
    return take_snapshot(
        session.platform.client("rds"),
        instance,
        snapshot_name(session.environment, backup_id),
        tags={"project": "passerelle", "environment": session.environment, "backup": backup_id},
        progress=lambda percent: progress("MLflow's database", percent, 100),
    )


def _need_foreign_server(session: Session) -> None:
    """Refuse to leave the database out where the environment has one, deployed by a release that did not name it."""
    try:
        session.platform.resource("tracking-cluster")
    except SettingsError:
        session.console.print("[yellow]![/] MLflow runs elsewhere (tracking_uri): back its database up there.")
        return
    raise SettingsError(
        f"Environment {session.environment} was deployed by an earlier release, which does not name its database. "
        "Deploy it, then back up again."
    )


def put_database_back(session: Session, path: Path | None, buckets: dict[str, str]) -> None:
    """Replace MLflow's database by the dump; on AWS the tracking stack was made from the snapshot."""
    if path is None or not session.on_laptop:
        return
    from laptop.database_copy import restore

    with session.console.status("Restoring MLflow's database"):
        restore(session.laptop_settings, path, buckets, progress=lambda text: None)


def need_database(session: Session, index: BackupIndex, *, already: bool) -> None:
    """Refuse before anything is changed when the database could not be restored.

    Raises InputError when a newer MLflow wrote it, or when on AWS the stack was not made from its snapshot.
    """
    kind = index.database.kind
    if session.on_laptop and kind == "dump":
        from laptop.database_copy import need_known_schema

        need_known_schema(index.database.schema_revision)
    elif kind == "snapshot" and not already:
        raise InputError(
            f"MLflow's database is the RDS snapshot {index.database.snapshot_arn}. Write it as "
            f"tracking.restore_from_snapshot into environments/{session.environment}.yaml, deploy, then restore again "
            "with --database-restored (docs/recovery.md)."
        )


@contextmanager
def progress_bars(session: Session) -> Iterator[Progress]:
    """Yield what shows a bar for each stage."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=max(total, 1))
            bars.update(tasks[stage], completed=done if total else 1, total=max(total, 1))

        yield show
