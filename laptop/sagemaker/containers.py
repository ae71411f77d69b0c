"""Run an image's command as a local process: clean environment, own process group, logs to CloudWatch."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import psutil

from laptop import clock
from laptop.settings import REPOSITORY, LaptopSettings
from laptop.surroundings import Surroundings

HOME_MARKER: Final = "PASSERELLE_HOME"
#: Tells a container's processes from all others, wherever they go.
IDENTITY: Final = "PASSERELLE_CONTAINER"
FLUSH_SECONDS: Final = 0.25
MAX_PENDING_LINES: Final = 20_000
TAIL_LINES: Final = 20
#: What prints no line end comes in pieces, so that it cannot fill the memory.
LINE_CHARACTERS: Final = 60_000
STOP_STEP_SECONDS: Final = 0.1

#: Asks Linux to kill a child when the platform dies, even by kill -9 (PR_SET_PDEATHSIG). No function of Python's: a
#: tracer would be called in the forked child, and wait for a lock that another thread held.
_DIE_WITH_PARENT: Final = partial(ctypes.CDLL(None).prctl, 1, int(signal.SIGKILL)) if sys.platform == "linux" else None
#: The kernel kills a child when the THREAD that started it ends, so every child is started by this lasting one.
_SPAWNER: Final = ThreadPoolExecutor(1, thread_name_prefix="container-spawner")


@dataclass(frozen=True)
class LogTarget:
    """Where a container's lines go."""

    group: str
    stream: str
    file: Path


def image_command(settings: LaptopSettings, image: str) -> tuple[str, ...] | None:
    """Return the local command that stands for an image's ENTRYPOINT, None for an unknown image."""
    repository = image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0]
    command = settings.images.get(repository)
    return tuple(command) if command else None


def container_environment(
    settings: LaptopSettings, base: Path, extra: Mapping[str, str], *, aws: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a container: nothing of the host's but PATH.

    `aws` is how it reaches AWS with its role. An isolated one (EnableNetworkIsolation) has neither credentials nor an
    address to use them with.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": str(base),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        **aws,
        **extra,
        **clock.inherited(),
        # Where it is, and whose: a request cannot move it elsewhere.
        "SAGEMAKER_BASE_DIR": str(base),
        HOME_MARKER: str(settings.home),
    }


def local_command(arguments: Sequence[str]) -> list[str]:
    """Map the container's `python` to this interpreter."""
    first = sys.executable if arguments[0] in ("python", "python3") else arguments[0]
    return [first, *arguments[1:]]


class Container:
    """One running command. Its output goes to CloudWatch Logs and to a file, never blocking it.

    As in a container, nothing that the command started outlives it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        surroundings: Surroundings,
        log: LogTarget,
    ) -> None:
        self._log, self._surroundings = log, surroundings
        self._lines: queue.Queue[tuple[datetime, str] | None] = queue.Queue(MAX_PENDING_LINES)
        self.tail: list[str] = []
        self._over, self._identity = threading.Event(), uuid.uuid4().hex
        self._process = _SPAWNER.submit(self._spawn, list(command), {**environment, IDENTITY: self._identity}).result()
        self._file, self._writing = _open_log(log.file), threading.Lock()
        self._reader = threading.Thread(target=self._read, name=f"log-reader-{self.pid}", daemon=True)
        self._sender = threading.Thread(target=self._send, name=f"log-sender-{self.pid}", daemon=True)
        minder = threading.Thread(target=self._mind, name=f"minder-{self.pid}", daemon=True)
        for thread in (self._reader, self._sender, minder):
            thread.start()

    def _spawn(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_DIE_WITH_PARENT,
        )

    def _mind(self) -> None:
        """When the command ends, end what it left behind: its group, and what has fled into a session of its own."""
        self._process.wait()
        self.signal_group(signal.SIGKILL)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(IDENTITY) == self._identity:
                    process.kill()
        self._over.set()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the exit code; None when `timeout` seconds pass first."""
        if not self._over.wait(timeout):
            return None
        self._reader.join(5)
        self._sender.join(10)
        return self._process.returncode

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the command and everything it started."""
        if self._over.is_set():  # another may have got the pid
            return
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS refuses where Linux finds nothing
            return

    def stop(self, grace_seconds: float, *, hurry: threading.Event | None = None) -> int:
        """SIGTERM, and SIGKILL when the grace has passed (docker stop) or `hurry` is set; returns the exit code."""
        self.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while (left := deadline - time.monotonic()) > 0 and not (hurry and hurry.is_set()):
            if self.wait(min(left, STOP_STEP_SECONDS)) is not None:
                break
        self.signal_group(signal.SIGKILL)
        return int(self.wait() or 0)

    def say(self, text: str) -> None:
        """Add a line of the platform's own to the log."""
        self._keep(f"{text}\n")
        self._surroundings.put_log_lines(self._log.group, self._log.stream, [(datetime.now(UTC), text)])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in iter(partial(self._process.stdout.readline, LINE_CHARACTERS), ""):
            line = raw.rstrip("\n")
            self._keep(raw)
            self.tail = [*self.tail[-(TAIL_LINES - 1) :], line]
            try:
                self._lines.put_nowait((datetime.now(UTC), line))
            except queue.Full:  # the file has it; CloudWatch must not slow the job down
                continue
        self._lines.put(None)
        with self._writing, contextlib.suppress(OSError):
            self._file.close()

    def _keep(self, text: str) -> None:
        """Write to the file. A full disk must not end the reading, or the command would wait for ever to print."""
        with self._writing, contextlib.suppress(OSError):
            if self._file.closed:  # a word of the platform's after the command's last
                with _open_log(self._log.file) as file:
                    file.write(text)
                return
            self._file.write(text)
            self._file.flush()

    def _send(self) -> None:
        ended = False
        while not ended:
            batch: list[tuple[datetime, str]] = []
            deadline = time.monotonic() + FLUSH_SECONDS
            while (left := deadline - time.monotonic()) > 0 and len(batch) < 1_000:
                try:
                    item = self._lines.get(timeout=left)
                except queue.Empty:
                    break
                if item is None:
                    ended = True
                    break
                batch.append(item)
            if batch:
                self._surroundings.put_log_lines(self._log.group, self._log.stream, batch)


def _open_log(path: Path) -> TextIO:
    """Open a job's log; where that cannot be, its lines still go to CloudWatch Logs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError:
        return Path(os.devnull).open("a", encoding="utf-8")
