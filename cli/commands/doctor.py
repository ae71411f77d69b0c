"""`passerelle doctor`: is this machine, or the account of an environment, fit, and if not, what to do."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli.session import Session
from passerelle.domain.preflight.finding import Finding, Status, required
from passerelle.errors import SettingsError, TransientError

if TYPE_CHECKING:
    from rich.console import Console

MIN_FREE_BYTES: Final = 3 * 1024**3
_MARKS: Final[dict[Status, str]] = {
    "ok": "[green]✓[/]",
    "warning": "[yellow]![/]",
    "missing": "[red]✗[/]",
    "denied": "[red]?[/]",
    "unanswered": "[yellow]?[/]",
    "skipped": "[dim]-[/]",
}


@click.command()
@click.option("--env", "environment", help="The same as before the command: `passerelle --env dev doctor`.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def doctor(session: Session, environment: str | None, as_json: bool) -> None:
    """Check this machine or, with --env, the account before a deployment, and say how to repair what is missing.

    Reads only. Exit code 4 when something is missing or may not be looked at, 5 when AWS gave no answer.
    """
    session = replace(session, environment=environment or session.environment, as_json=as_json or session.as_json)
    on_account = not session.on_laptop
    findings = _shown(session, examine_environment(session) if on_account else examine(session))
    if session.as_json:
        session.print_json([finding.to_json() for finding in findings])
    _conclude(findings, f"Environment {session.environment}" if on_account else "This machine")


def _shown(session: Session, findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it comes: looking at an account takes a while."""
    seen = []
    for finding in findings:
        seen.append(finding)
        if not session.as_json:
            _print(session.console, finding)
    return seen


def _print(console: Console, finding: Finding) -> None:
    from rich.markup import escape

    console.print(f"{_MARKS[finding.status]} {escape(finding.name)}: {escape(finding.found)}")
    for line in (*finding.details, *([finding.remedy] if finding.remedy else [])):
        # Commands are copied from here: no line ends of ours inside them.
        console.print(f"    {escape(line)}", soft_wrap=True)


def _conclude(findings: Iterable[Finding], where: str) -> None:
    """Raise what the exit code says: what is missing goes before what AWS did not answer."""
    names: dict[Status, list[str]] = {}
    for finding in findings:
        names.setdefault(finding.status, []).append(finding.name)
    verbs: tuple[tuple[Status, str], ...] = (
        ("missing", "lacks"),
        ("denied", "may not be looked at for"),
        ("unanswered", "gave no answer about"),
    )
    parts = [f"{verb}: {', '.join(names[status])}" for status, verb in verbs if status in names]
    if "missing" in names or "denied" in names:
        raise SettingsError(f"{where} {'; '.join(parts)}.")
    if parts:
        raise TransientError(f"{where} {'; '.join(parts)}.")


def examine_environment(session: Session) -> Iterator[Finding]:
    """Look at what a deployment needs of this machine, then at the account."""
    from cli.account import examine_account, load_environment
    from cli.deployment import ROOT
    from passerelle.aws.account import Account

    environment, projects = load_environment(session.environment, ROOT)
    yield from _tools(ROOT)
    yield from examine_account(environment, projects, Account.on_aws)


def examine(session: Session) -> Iterator[Finding]:
    """Look at Python, the CDK, disk, memory and ports."""
    settings = session.laptop_settings
    yield from _tools(Path())
    free = shutil.disk_usage(settings.home if settings.home.exists() else Path.cwd()).free
    yield required("Disk", free > MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "Free at least 3 GiB.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    yield required("Memory", memory >= 3.5, f"{memory:.1f} GiB", "The platform and a training job need about 4 GiB.")
    for name, port, variable in (
        ("AWS port", settings.port, "PASSERELLE_PORT"),
        ("MLflow port", settings.mlflow_port, "PASSERELLE_MLFLOW_PORT"),
    ):
        state = _port_state(session, port)
        yield required(name, state != "taken", f"{port} {state}", f"Set {variable} to a free port.")


def _tools(root: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield required(
        "Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer and run `make install`."
    )
    cdk = root / "node_modules/.bin/cdk"
    yield required("CDK command line", cdk.exists(), str(cdk), "Run `make install` in the repository's root.")


def _port_state(session: Session, port: int) -> str:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return "free"
    from laptop.platform import status as laptop_status

    addresses = [
        str(process.address) for process in laptop_status(session.laptop_settings).processes if process.running
    ]
    return "used by this platform" if any(address.endswith(f":{port}") for address in addresses) else "taken"
