"""MLflow's database on the laptop: dumped with pg_dump, put back with pg_restore. RDS has snapshots for that."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from laptop import postgres
from laptop.platform import DATABASE as SERVER
from laptop.platform import MLFLOW, Progress, up
from laptop.processes import Processes
from laptop.settings import LaptopSettings
from passerelle.contracts import tracking
from passerelle.errors import BundleError, InputError, SettingsError, TransientError

_RESTORED: Final = "mlflow_restored"
_BEFORE: Final = "mlflow_before"


def dump(settings: LaptopSettings, path: Path) -> str | None:
    """Write MLflow's database to a file, as it is at one moment; returns the revision of its schema.

    Raises TransientError when PostgreSQL does not run.
    """
    revision = schema_revision(settings, tracking.DATABASE)
    command = ["pg_dump", "--format=custom", "--no-owner", f"--file={path}", f"--dbname={tracking.DATABASE}"]
    done = _run(settings, command)
    if done.returncode:
        raise SettingsError(f"pg_dump failed: {done.stderr.strip()[-1000:]}")
    return revision


def need_known_schema(revision: str | None) -> None:
    """Refuse a dump whose schema this MLflow does not know: a newer one wrote it.

    Raises InputError. An older schema is brought up to date after it was restored.
    """
    from importlib.metadata import version
    from importlib.util import find_spec

    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    scripts = ScriptDirectory(str(Path(spec.origin).parent / "store" / "db_migrations"))
    try:
        known = revision is not None and scripts.get_revision(revision) is not None
    except CommandError:
        known = False
    if not known:
        raise InputError(
            f"The backup's MLflow database has schema {revision}, which MLflow {version('mlflow')} does not know: a "
            "newer one wrote it. Nothing was changed. Restore with the release that made the backup, or a newer one."
        )


def restore(settings: LaptopSettings, path: Path, buckets: Mapping[str, str], *, progress: Progress) -> None:
    """Replace MLflow's database by a dump, with the buckets' names as they are now, and start MLflow on it.

    The old database goes on serving until the new one is whole. Interrupted at any moment and called again, it ends
    the same.

    Raises BundleError when the dump cannot be read, TransientError when PostgreSQL does not run.
    """
    _replace_database(settings, _RESTORED)
    options = ["--exit-on-error", "--no-owner", "--single-transaction", f"--dbname={_RESTORED}"]
    done = _run(settings, ["pg_restore", *options, str(path)])
    if done.returncode:
        raise BundleError(f"The dump of MLflow's database cannot be restored: {done.stderr.strip()[-1000:]}")
    _rename_buckets(settings, buckets)
    progress("exchanging MLflow's database")
    Processes(settings).stop(MLFLOW)
    # What a restore that was killed at its very end has left.
    _run(settings, ["dropdb", "--if-exists", "--force", _BEFORE])
    _exchange(settings)
    # Its mark says that the schema of this folder is current, which the dump's need not be.
    (settings.home / "run" / "mlflow-schema").unlink(missing_ok=True)
    up(settings, progress=progress)


def schema_revision(settings: LaptopSettings, database: str) -> str | None:
    """Return Alembic's revision of a database, None when MLflow has never been in it."""
    connection = _connect(settings, database)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version')")
            if cursor.fetchone()[0] is None:
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            found = cursor.fetchone()
            return None if found is None else str(found[0])
    finally:
        connection.close()


def _replace_database(settings: LaptopSettings, name: str) -> None:
    """Create an empty database; what an interrupted restore has left under that name goes."""
    for command in (["dropdb", "--if-exists", "--force", name], ["createdb", name]):
        done = _run(settings, command)
        if done.returncode:
            raise SettingsError(f"{command[0]} {name} failed: {done.stderr.strip()[-500:]}")


def _rename_buckets(settings: LaptopSettings, buckets: Mapping[str, str]) -> None:
    """Say in every text of the restored database where the buckets are now, all at once.

    Artefact addresses are relative to the server (`mlflow-artifacts:/`), but tags and datasets' sources are not.
    """
    from psycopg2 import sql

    renamed = {old: new for old, new in buckets.items() if old != new}
    connection = _connect(settings, _RESTORED)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t "
                "USING (table_schema, table_name) WHERE t.table_type = 'BASE TABLE' AND c.table_schema = 'public' "
                "AND c.data_type IN ('text', 'character varying')"
            )
            for table, column in cursor.fetchall() if renamed else ():
                names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
                for old, new in renamed.items():
                    statement = "UPDATE {table} SET {column} = replace({column}, %s, %s) WHERE {column} LIKE %s"
                    values = (f"s3://{old}/", f"s3://{new}/", f"%s3://{old}/%")
                    cursor.execute(sql.SQL(statement).format(**names), values)
    finally:
        connection.close()


def _exchange(settings: LaptopSettings) -> None:
    """Give the restored database the name of the one before, in one transaction; then the one before goes."""
    connection = _connect(settings, "postgres")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (%s, %s)",
                (tracking.DATABASE, _RESTORED),
            )
            cursor.execute(f"ALTER DATABASE {tracking.DATABASE} RENAME TO {_BEFORE}")
            cursor.execute(f"ALTER DATABASE {_RESTORED} RENAME TO {tracking.DATABASE}")
    finally:
        connection.close()
    _run(settings, ["dropdb", "--if-exists", "--force", _BEFORE])


def _port(settings: LaptopSettings) -> int:
    found = Processes(settings).find(SERVER)
    if found is None:
        raise TransientError("PostgreSQL does not run. Start it with `passerelle up`.")
    return found.port


def _connect(settings: LaptopSettings, database: str) -> Any:
    import psycopg2

    return psycopg2.connect(host="127.0.0.1", port=_port(settings), user=postgres.USER, dbname=database)


def _run(settings: LaptopSettings, command: list[str]) -> subprocess.CompletedProcess[str]:
    program = str(postgres.binary_folder(settings) / command[0])
    # libpq must not read the user's own ~/.pgpass or service files.
    environment = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent",
        "PGHOST": "127.0.0.1", "PGPORT": str(_port(settings)), "PGUSER": postgres.USER,
    }  # fmt: skip
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, cwd="/", env=environment)
