"""Processes of the platform: started in sessions of their own, found again, stopped without leaving any behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import psutil

from laptop.settings import REPOSITORY, LaptopSettings

STOP_SECONDS: Final = 15.0
#: In the environment of every process that the platform starts, and of what those start: Lambda workers inherit it.
MARKER: Final = "PASSERELLE_PLATFORM"
HOME: Final = "PASSERELLE_HOME"
#: All that a program of another supplier, such as PostgreSQL, sees of this process's environment.
SYSTEM_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True)
class Recorded:
    """A started process; its start time tells it from another that got the same pid later."""

    name: str
    pid: int
    started: float
    port: int


class Processes:
    """The processes of one platform, by name."""

    def __init__(self, settings: LaptopSettings) -> None:
        self._settings = settings
        self._folder = settings.home / "run"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.logs = settings.home / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], port: int, **identity: Any
    ) -> int:
        """Start a process that outlives this one; its output goes to logs/<name>.log."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                env={**environment, **_marks(self._settings)},
                cwd=REPOSITORY if not identity else "/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )
        recorded = Recorded(name, process.pid, psutil.Process(process.pid).create_time(), port)
        partial = self._folder / f"{name}.partial"
        partial.write_text(json.dumps(asdict(recorded)), encoding="utf-8")
        partial.replace(self._folder / f"{name}.json")
        return process.pid

    def find(self, name: str) -> Recorded | None:
        """Return the running process of that name; a stale record is removed."""
        path = self._folder / f"{name}.json"
        try:
            recorded = Recorded(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if _alive(recorded):
            return recorded
        path.unlink(missing_ok=True)
        return None

    def tail(self, name: str, lines: int = 15) -> str:
        """Return the end of a process's log."""
        try:
            text = (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop a process and its session; SIGKILL when it does not end in time."""
        recorded = self.find(name)
        if recorded is None:
            return
        _signal_group(recorded.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(recorded) and time.monotonic() < deadline:
            _reap(recorded.pid)
            time.sleep(0.05)
        _signal_group(recorded.pid, signal.SIGKILL)
        _reap(recorded.pid)
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def orphans(self) -> list[psutil.Process]:
        """Return every process that this platform has left behind: it carries its marker, and is of no live session."""
        sessions = {item.pid for name in self.names() if (item := self.find(name))}
        own = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                ours = process.pid not in own and self._is_ours(process.environ())
                if ours and os.getsid(process.pid) not in sessions:
                    found.append(process)
        return found

    def names(self) -> list[str]:
        """Return the names of all processes that were started and not stopped."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def _is_ours(self, environment: Mapping[str, str]) -> bool:
        """A user may have exported PASSERELLE_HOME, so that alone says nothing; jobs have their base folder too."""
        home = str(self._settings.home)
        job = environment.get(HOME) == home and "SAGEMAKER_BASE_DIR" in environment
        return job or environment.get(MARKER) == home

    def kill_orphans(self) -> int:
        """Kill what is left of jobs, endpoint servers and Lambda workers; returns how many there were."""
        orphans = self.orphans()
        for process in orphans:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(orphans, timeout=5)
        return len(orphans)


def run_to_end(settings: LaptopSettings, command: Sequence[str], **identity: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and wait; when this process is interrupted, what the command started goes with it."""
    process = subprocess.Popen(
        list(command),
        env={**SYSTEM_ENVIRONMENT, **_marks(settings)},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **identity,
    )
    try:
        output, errors = process.communicate()
    except BaseException:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Clean up to the end: an impatient second Ctrl-C must not leave half of it running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _marks(settings: LaptopSettings) -> dict[str, str]:
    return {HOME: str(settings.home), MARKER: str(settings.home)}


def _alive(recorded: Recorded) -> bool:
    try:
        process = psutil.Process(recorded.pid)
        same: bool = abs(process.create_time() - recorded.started) < 1.0
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _reap(pid: int) -> None:
    """A child of this process stays a zombie until it is waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
