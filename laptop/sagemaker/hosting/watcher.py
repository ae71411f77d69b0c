"""Start again what has died or hangs. Callers meanwhile get ServiceUnavailable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from laptop.sagemaker.hosting.fleet import Fleet
from laptop.sagemaker.hosting.replicas import Replicas
from laptop.sagemaker.hosting.variant import Variant

LOG: Final = logging.getLogger(__name__)
WATCH_SECONDS: Final = 0.5
#: A variant whose process dies is started again, the wait doubling up to this many seconds.
MAX_RESTART_WAIT: Final = 30.0
#: A running server is asked for its health this often, and ended when it has given no sign of life for so long: longer
#: than a request may take, as a server may work on one and answer nothing else.
HEALTH_SECONDS: Final = 5.0
UNHEALTHY_SECONDS: Final = 65.0


@dataclass
class _Care:
    """What the watch knows of a variant."""

    wait: float = WATCH_SECONDS
    due: float = 0.0
    at_work: bool = False
    asked: float = field(default_factory=time.monotonic)
    healthy: float = field(default_factory=time.monotonic)


class Watcher:
    """Looks after the processes of all fleets. A slow restart holds up no other, a failed one only itself."""

    def __init__(self, serving: Callable[[], Iterable[tuple[str, Fleet | Replicas]]]) -> None:
        self._serving, self._closing = serving, threading.Event()
        self._cares: dict[Variant, _Care] = {}
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
        served = {variant: name for name, fleet in self._serving() for variant in fleet.variants()}
        for variant in self._cares.keys() - served.keys():
            del self._cares[variant]
        for variant, name in served.items():
            care, moment = self._cares.setdefault(variant, _Care()), time.monotonic()
            if care.at_work or variant.retired:
                continue
            if variant.alive and moment >= care.asked + HEALTH_SECONDS:
                care.at_work = True
                self._pool.submit(self._check, name, variant, care)
            elif not variant.alive and moment >= care.due:
                LOG.warning("endpoint %s: a container died and is started again", name)
                care.at_work = True
                self._pool.submit(self._restart, name, variant, care)

    def _check(self, name: str, variant: Variant, care: _Care) -> None:
        try:
            care.asked = time.monotonic()
            if variant.ping():
                care.healthy = care.asked
            elif time.monotonic() > care.healthy + UNHEALTHY_SECONDS:
                LOG.warning("endpoint %s: a container hangs and is ended", name)
                variant.kill()
        finally:
            care.at_work = False

    def _restart(self, name: str, variant: Variant, care: _Care) -> None:
        try:
            variant.start(self._closing)
        except Exception as error:  # whatever it was, the next attempt comes
            LOG.warning("endpoint %s: %s", name, error)
        # One that dies again and again is tried more and more rarely, one that lasted is as good as new.
        lasted = time.monotonic() > care.due + 10 * MAX_RESTART_WAIT
        care.wait = WATCH_SECONDS if lasted else min(care.wait * 2, MAX_RESTART_WAIT)
        care.healthy = time.monotonic()
        care.due, care.at_work = care.healthy + care.wait, False
