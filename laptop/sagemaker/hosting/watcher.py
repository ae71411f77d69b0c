"""Start again what has died. Callers meanwhile get ServiceUnavailable."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from laptop.sagemaker.hosting.fleet import Fleet
from laptop.sagemaker.hosting.variant import Variant

LOG: Final = logging.getLogger(__name__)
WATCH_SECONDS: Final = 0.5
#: A variant whose process dies is started again, the wait doubling up to this many seconds.
MAX_RESTART_WAIT: Final = 30.0


@dataclass
class _Restarts:
    """How a variant's restarts went so far."""

    wait: float = WATCH_SECONDS
    due: float = 0.0
    at_work: bool = False


class Watcher:
    """Looks after the processes of all fleets. A slow restart holds up no other, a failed one only itself."""

    def __init__(self, fleets: dict[str, Fleet]) -> None:
        self._fleets, self._closing = fleets, threading.Event()
        self._restarts: dict[Variant, _Restarts] = {}
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="endpoint-restart")
        self._thread = threading.Thread(target=self._run, name="endpoint-watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Start nothing any more; restarts under way are given up."""
        self._closing.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while not self._closing.wait(WATCH_SECONDS):
            try:
                self._look()
            except Exception:
                LOG.exception("the watch over endpoints goes on")

    def _look(self) -> None:
        served = {variant: name for name, fleet in list(self._fleets.items()) for variant in fleet.variants()}
        for variant in self._restarts.keys() - served.keys():
            del self._restarts[variant]
        for variant, name in served.items():
            state = self._restarts.setdefault(variant, _Restarts())
            if state.at_work or variant.alive or variant.retired or time.monotonic() < state.due:
                continue
            LOG.warning("endpoint %s: a container died and is started again", name)
            state.at_work = True
            self._pool.submit(self._restart, name, variant, state)

    def _restart(self, name: str, variant: Variant, state: _Restarts) -> None:
        try:
            variant.start(self._closing)
        except Exception as error:  # whatever it was, the next attempt comes
            LOG.warning("endpoint %s: %s", name, error)
        # One that dies again and again is tried more and more rarely, one that lasted is as good as new.
        lasted = time.monotonic() > state.due + 10 * MAX_RESTART_WAIT
        state.wait = WATCH_SECONDS if lasted else min(state.wait * 2, MAX_RESTART_WAIT)
        state.due, state.at_work = time.monotonic() + state.wait, False
