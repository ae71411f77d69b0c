"""One server process as a serverless endpoint starts it: at full speed, on a share of a core, in bounded memory."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.load import BadAnswerError, ask_once, run_load
from bench.serving import WARM_UP_REQUESTS, Launched, Subject, launched
from passerelle.domain.cost.serverless import Work

#: How often a slowed server is looked at; a twentieth of the kernel's own period for `cpu.max`.
LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True)
class Start:
    """One start."""

    ping: Work
    answer: Work
    request: Work
    peak_memory_mb: float


@dataclass(frozen=True)
class Watch:
    """A server's process, with one worker as SageMaker's serverless has one request at a time of it."""

    server: Launched

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def processor_seconds(self) -> float:
        """Return what all threads have used of the processor, for themselves and in the kernel."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def waited(self) -> float:
        """Return how long the main thread was ready and had no core: time that only other work on the machine took.

        The kernel's documentation, "Scheduler Statistics", /proc/<pid>/schedstat.
        """
        return float(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9

    def peak_memory(self) -> float:
        """Return the most megabytes (MiB, as SageMaker's sizes) that were ever resident."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return float(status.split("VmHWM:")[1].split()[0]) / 1024

    def until(self, ask: Callable[[], None]) -> Work:
        """Ask until there is an answer, and return the work since the start."""
        seconds = self.server.wait(ask)
        return Work(seconds - self.waited(), self.processor_seconds())


@contextmanager
def slowed(watch: Watch, share: float) -> Iterator[None]:
    """Give a server a share of a core: stop it whenever it has used more of the processor than that.

    What `cpu.max` of a control group does, without the rights and the kernel that it takes.
    """
    over = threading.Event()

    def hold() -> None:
        while not over.wait(LOOK_SECONDS):
            allowed = share * (time.perf_counter() - watch.server.begun - watch.waited())
            os.kill(watch.pid, signal.SIGSTOP if watch.processor_seconds() > allowed else signal.SIGCONT)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        yield
    finally:
        over.set()
        holder.join()
        os.kill(watch.pid, signal.SIGCONT)


def measure_start(subject: Subject, body: bytes, log: Path, *, requests: int) -> Start:
    """Start a server at full speed, and ask it so many times."""
    with launched(subject, log) as server:
        watch = Watch(server)
        ping = watch.until(lambda: _ping(server.port))
        answer = watch.until(lambda: ask_once(server.port, body))
        run_load(server.port, body, connections=1, seconds=0, least=WARM_UP_REQUESTS)
        used = watch.processor_seconds()
        load = run_load(server.port, body, connections=1, seconds=0, least=requests)
        processor = (watch.processor_seconds() - used) / requests
        return Start(ping, answer, Work(load.percentile(0.5), processor), watch.peak_memory())


def measure_slowed(subject: Subject, body: bytes, log: Path, share: float) -> Work:
    """Return what it took on a share of a core from the start to the first answer."""
    with launched(subject, log) as server:
        watch = Watch(server)
        with slowed(watch, share):
            return watch.until(lambda: ask_once(server.port, body))


def starts_within(subject: Subject, body: bytes, log: Path, memory_mb: int) -> bool:
    """Return whether a server answers with no more address space than this: a stricter bound than that of memory."""
    with launched(subject, log) as server:
        _bound_memory(server, memory_mb)
        try:
            server.wait(lambda: ask_once(server.port, body))
        except (SystemExit, BadAnswerError):
            return False
        return True


def _bound_memory(server: Launched, memory_mb: int) -> None:
    size = memory_mb * 1024 * 1024
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (size, size))


def _ping(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/ping")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.OK:
        raise ConnectionError(f"/ping answered {status}")
