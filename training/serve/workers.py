"""Several serving processes behind one port, which the kernel spreads connections over (SO_REUSEPORT)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

#: Exit code of a worker that will never start, whatever is tried again.
REFUSED: Final = 1
#: A worker that ends sooner than this has never served: starting it again would not help.
SHORT_LIFE_SECONDS: Final = 10.0

Serve = Callable[[int], NoReturn]


def run_workers(count: int, serve: Serve) -> int:
    """Run `count` processes of `serve` until SIGTERM; start one that dies again; return the exit code.

    The parent forks before it has loaded anything: OpenMP does not survive a fork, and it stays small.
    """
    return _Supervisor(count, serve).run()


class _Supervisor:
    def __init__(self, count: int, serve: Serve) -> None:
        self._count, self._serve = count, serve
        self._started: dict[int, float] = {}
        self._stopping = False
        # Nobody writes to this pipe: its end reads as closed in the workers when the supervisor is gone.
        self._alive, self._mine = os.pipe()

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._start()
        code = 0
        while self._started:
            pid, status = os.wait()
            lived = time.monotonic() - self._started.pop(pid)
            worker_code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                code = code or max(worker_code, 0)
            elif worker_code == REFUSED or lived < SHORT_LIFE_SECONDS:
                print(f"A worker ended with {worker_code} after {lived:.1f} s: giving up.", file=sys.stderr, flush=True)
                code = worker_code if worker_code > 0 else 1
                self._stop(signal.SIGTERM, None)
            else:
                print(f"A worker ended with {worker_code}; another takes its place.", file=sys.stderr, flush=True)
                self._start()
        return code

    def _start(self) -> None:
        # Held back in between: a worker must not run the supervisor's handler, nor be missed by it.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        pid = os.fork()
        if pid == 0:
            os.close(self._mine)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _leave)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
            self._serve(self._alive)
        self._started[pid] = time.monotonic()
        if self._stopping:
            os.kill(pid, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for pid in list(self._started):
            os.kill(pid, signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)
