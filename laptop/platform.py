"""Start, stop and describe the laptop platform: PostgreSQL, the embedded AWS, MLflow."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from laptop import clock, mlflow_server, postgres
from laptop.access import ensure_administrator, open_url
from laptop.certificates import ensure_certificate
from laptop.processes import SYSTEM_ENVIRONMENT, Processes, uninterrupted
from laptop.settings import REPOSITORY, LaptopSettings
from passerelle.contracts import tracking
from passerelle.errors import SettingsError, TransientError

AWS, DATABASE, MLFLOW = "aws", "postgres", "mlflow"
#: Stopped in this order: what writes first, what is written to last.
STOP_ORDER: Final = (MLFLOW, AWS, DATABASE)
START_SECONDS: Final = 300.0
PORT_SECONDS: Final = 2.0
#: A process that runs answers within these seconds, or it is about to end, or it hangs and is started anew.
ANSWER_SECONDS: Final = 20.0
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ProcessStatus:
    """One process of the platform."""

    name: str
    running: bool
    pid: int | None
    address: str | None


@dataclass(frozen=True)
class PlatformStatus:
    """The whole platform; `recorded_only` lists CloudFormation resources without effect on the laptop."""

    home: str
    processes: tuple[ProcessStatus, ...]
    recorded_only: tuple[str, ...] = ()
    running_jobs: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        return all(process.running for process in self.processes)


def up(settings: LaptopSettings, *, progress: Progress = lambda _: None, tracking_server: bool = True) -> None:
    """Start what does not run. An interrupted or failed start leaves nothing running that was not before.

    Raises SettingsError when a port is taken, or the platform runs with other switches, or a part does not start (with
    the end of its log).
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with _lock(settings.home / "run" / "lock"):
        processes = Processes(settings)
        _refuse_other_switches(settings, processes)
        wanted = (DATABASE, AWS, MLFLOW) if tracking_server else (AWS,)
        missing = [name for name in wanted if not _at_work(name, settings, processes)]
        if missing:
            # After a crash, what is left of the dead part must neither meet the new one nor hold its port.
            processes.kill_orphans()
        if DATABASE in missing and MLFLOW not in missing:
            # MLflow knows the database by a port that another program may have taken meanwhile.
            processes.stop(MLFLOW)
            missing.append(MLFLOW)
        started: list[str] = []
        try:
            if AWS in missing:
                _check_port(settings.port, "PASSERELLE_PORT")
                progress("starting the embedded AWS")
                _secure(settings)
                started.append(AWS)
                _start_aws(settings, processes)
            if DATABASE in missing:
                progress("starting PostgreSQL")
                started.append(DATABASE)
                _start_postgres(settings, processes)
            if AWS in missing:
                _await(lambda: _is_ready(settings), processes, AWS)
            if MLFLOW in missing:
                _check_port(settings.mlflow_port, "PASSERELLE_MLFLOW_PORT")
                progress("starting MLflow")
                started.append(MLFLOW)
                _start_mlflow(settings, processes, progress)
            if missing:
                progress("everything answers")
        except BaseException:
            with uninterrupted():
                for name in [name for name in STOP_ORDER if name in started]:
                    processes.stop(name, _stop_signal(name))
                processes.kill_orphans()
            raise


def down(settings: LaptopSettings) -> None:
    """Stop everything that belongs to the platform; its state stays."""
    if not settings.home.exists():
        return
    with _lock(settings.home / "run" / "lock"):
        processes = Processes(settings)
        with uninterrupted():
            for name in STOP_ORDER:
                processes.stop(name, _stop_signal(name))
            processes.kill_orphans()


def delete_state(settings: LaptopSettings) -> None:
    """Stop the platform and remove all its data, also what lies outside of its home."""
    down(settings)
    if settings.home.exists():
        shutil.rmtree(settings.home)
    postgres.delete(settings)


def status(settings: LaptopSettings) -> PlatformStatus:
    """Describe the platform; works whether it runs or not."""
    processes = Processes(settings)
    found = {name: processes.find(name) for name in (AWS, DATABASE, MLFLOW)}
    described = tuple(
        ProcessStatus(name, item is not None, item.pid if item else None, f"127.0.0.1:{item.port}" if item else None)
        for name, item in found.items()
    )
    details: dict[str, Any] = (_status_page(settings) or {}) if found[AWS] else {}
    return PlatformStatus(
        home=str(settings.home),
        processes=described,
        recorded_only=tuple(details.get("recorded_only", ())),
        running_jobs=tuple(details.get("running_jobs", ())),
        endpoints=tuple(details.get("endpoints", ())),
    )


def _refuse_other_switches(settings: LaptopSettings, processes: Processes) -> None:
    if processes.find(AWS) is not None and not settings.is_remembered:
        raise SettingsError(
            f"The platform in {settings.home} runs with other switches for policies and TLS. `passerelle down` first."
        )


def _at_work(name: str, settings: LaptopSettings, processes: Processes) -> bool:
    """Return whether a part runs and answers. One that was killed a moment ago is still found, and waited for."""
    answers: dict[str, Callable[[int], bool]] = {
        AWS: lambda _: _status_page(settings) is not None,
        DATABASE: postgres.is_ready,
        MLFLOW: lambda _: _answers(f"{settings.mlflow_url}/health"),
    }
    deadline = time.monotonic() + ANSWER_SECONDS
    while (found := processes.find(name)) is not None:
        if answers[name](found.port):
            return True
        if time.monotonic() > deadline:
            processes.stop(name, _stop_signal(name))
            return False
        time.sleep(0.05)
    return False


def _stop_signal(name: str) -> signal.Signals:
    """PostgreSQL's fast shutdown is SIGINT: it does not wait for clients."""
    return signal.SIGINT if name == DATABASE else signal.SIGTERM


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Only one `up` or `down` at a time; the lock goes with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TransientError(
                f"Another `passerelle up` or `down` is at work in {path.parent.parent}. Try again when it has ended."
            ) from error
        yield


def clean_environment() -> dict[str, str]:
    """Return the environment of the platform's processes: none of the host's secrets."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {
        "PATH": path,
        "HOME": os.environ.get("HOME", "/tmp"),
        # boto3 would read profiles, regions and endpoints of the user's real accounts.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(REPOSITORY),
        **clock.inherited(),
    }


def _secure(settings: LaptopSettings) -> None:
    """Make the keys and the certificate that the settings ask for, and let later commands know of them."""
    ensure_administrator(settings)
    if settings.tls:
        ensure_certificate(settings)
    settings.remember()


def _start_aws(settings: LaptopSettings, processes: Processes) -> None:
    # Lambda workers unpack their code there; a crash leaves it, so it is emptied here.
    temporary = settings.home / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    environment = clean_environment() | settings.as_environment() | {"TMPDIR": str(temporary)}
    processes.start(AWS, [sys.executable, "-m", "laptop.server"], environment=environment, port=settings.port)


def _start_postgres(settings: LaptopSettings, processes: Processes) -> None:
    postgres.initialise(settings)
    port = _free_port()
    command = postgres.server_command(settings, port)
    processes.start(DATABASE, command, environment=SYSTEM_ENVIRONMENT, port=port, **postgres.identity())
    _await(lambda: postgres.is_ready(port), processes, DATABASE)
    postgres.ensure_database(port, tracking.DATABASE)


def _start_mlflow(settings: LaptopSettings, processes: Processes, progress: Progress) -> None:
    database = processes.find(DATABASE)
    if database is None:
        raise SettingsError(f"PostgreSQL does not run:\n{processes.tail(DATABASE)}")
    command, environment = mlflow_server.prepare(
        settings, clean_environment(), database_port=database.port, progress=progress
    )
    processes.start(MLFLOW, command, environment=environment, port=settings.mlflow_port)
    _await(lambda: _answers(f"{settings.mlflow_url}/health"), processes, MLFLOW)


def _await(ready: Callable[[], bool], processes: Processes, name: str) -> None:
    """Wait until a part answers.

    Raises SettingsError with the end of its log when it dies or takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready():
            return
        if processes.find(name) is None:
            raise SettingsError(
                f"{name} did not start. The end of {processes.logs / name}.log:\n{processes.tail(name)}"
            )
        time.sleep(0.05)
    raise SettingsError(f"{name} did not answer within {START_SECONDS:.0f} s:\n{processes.tail(name)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _is_ready(settings: LaptopSettings) -> bool:
    """The embedded AWS answers, and what ran in it before a restart is at work again."""
    return bool((_status_page(settings) or {}).get("ready"))


def _status_page(settings: LaptopSettings) -> dict[str, Any] | None:
    try:
        with open_url(settings, "_passerelle/status", timeout=5) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError):
        return None


def _check_port(port: int, variable: str) -> None:
    """Raise SettingsError when a port is taken; one that a killed process is about to give back is waited for."""
    deadline = time.monotonic() + PORT_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.1)
    raise SettingsError(f"Port {port} of 127.0.0.1 is taken by another program. Set {variable} to a free port.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
