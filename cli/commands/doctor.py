"""`passerelle doctor`: is this machine fit, and if not, what to do."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from cli.session import Session
from passerelle.errors import SettingsError

MIN_FREE_BYTES = 3 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


@click.command()
@click.pass_obj
def doctor(session: Session) -> None:
    """Check what the laptop platform needs, and say how to repair what is missing. Exit code 4 when something is."""
    session.need_laptop("doctor")
    findings = list(examine(session))
    if session.as_json:
        session.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
            session.console.print(f"{mark} {finding.name}: {finding.found}")
            if not finding.ok:
                session.console.print(f"    {finding.remedy}")
    missing = [finding.name for finding in findings if not finding.ok]
    if missing:
        raise SettingsError(f"This machine lacks: {', '.join(missing)}.")


def examine(session: Session) -> Iterator[Finding]:
    """Look at Python, the CDK, disk, memory and ports."""
    settings = session.laptop_settings
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer and run `make install`."
    )
    cdk = Path("node_modules/.bin/cdk")
    yield Finding("CDK command line", cdk.exists(), str(cdk), "Run `make install` in the repository's root.")
    free = shutil.disk_usage(settings.home if settings.home.exists() else Path.cwd()).free
    yield Finding("Disk", free > MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "Free at least 3 GiB.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    yield Finding("Memory", memory >= 3.5, f"{memory:.1f} GiB", "The platform and a training job need about 4 GiB.")
    for name, port, variable in (
        ("AWS port", settings.port, "PASSERELLE_PORT"),
        ("MLflow port", settings.mlflow_port, "PASSERELLE_MLFLOW_PORT"),
    ):
        state = _port_state(session, port)
        yield Finding(name, state != "taken", f"{port} {state}", f"Set {variable} to a free port.")


def _port_state(session: Session, port: int) -> str:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return "free"
    from laptop.platform import status as laptop_status

    addresses = [
        str(process.address) for process in laptop_status(session.laptop_settings).processes if process.running
    ]
    return "used by this platform" if any(address.endswith(f":{port}") for address in addresses) else "taken"
