"""A variant's instances: as many server processes, of which the least busy gets the next request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from laptop.sagemaker.hosting.connections import ContainerAnswer
from laptop.sagemaker.hosting.variant import NotListeningError, RetiredError, Variant

#: A laptop has one machine: instances beyond so many are counted, described and billed, but share these processes.
MAX_PROCESSES: Final = 8


class Replicas:
    """Processes of one model that answer alike. Thread-safe; once stopped it never starts again."""

    def __init__(self, make: Callable[[int], Variant], count: int) -> None:
        """Take how to make a process of a number; nothing runs before `start`."""
        self._make, self._made, self._stopped, self._lock = make, 0, False, threading.Lock()
        self._variants = tuple(self._next() for _ in range(min(count, MAX_PROCESSES)))

    def _next(self) -> Variant:
        self._made += 1
        return self._make(self._made)

    def variants(self) -> list[Variant]:
        return list(self._variants)

    def start(self, cancelled: threading.Event) -> None:
        """Start every process, all at once, and wait until all answer.

        Raises VariantError for the first that does not; then none runs.
        """
        try:
            _start(self._variants, cancelled)
        except BaseException:
            self.stop(drain_seconds=0)
            raise

    def resize(self, count: int, cancelled: threading.Event) -> None:
        """Have as many processes; new ones get requests when they answer, surplus ones end what they have begun.

        Those that answer stay before those that have died and are started again.

        Raises VariantError when a new one does not answer; then all is as before.
        """
        count = min(count, MAX_PROCESSES)
        by_health = sorted(self._variants, key=lambda variant: not variant.ready)
        kept, surplus = tuple(by_health[:count]), tuple(by_health[count:])
        added = tuple(self._next() for _ in range(count - len(kept)))
        try:
            _start(added, cancelled)
        except BaseException:
            _stop(added, 0)
            raise
        with self._lock:
            stopped = self._stopped
            if not stopped:
                self._variants = kept + added
        _stop(added if stopped else surplus, None)

    def invoke(self, headers: Mapping[str, str], body: bytes) -> ContainerAnswer:
        """Ask the least busy process that is ready; where nobody listens, the next one.

        Raises RetiredError when all were stopped before, OSError or HTTPException when the container does not answer.
        """
        down: set[Variant] = set()
        while True:
            variants = self._variants
            if self._stopped or not variants:
                raise RetiredError
            asked = [variant for variant in variants if variant not in down] if down else variants
            free = asked[0] if len(asked) == 1 else min(asked or variants, key=_load)
            try:
                return free.invoke(headers, body)
            except NotListeningError:
                down.add(free)
                if down.issuperset(self._variants):
                    raise
            except RetiredError:
                if variants is self._variants:  # not one that has just been scaled in: the whole variant retires
                    raise

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Take no more requests, let those in flight end, then end every process."""
        with self._lock:
            self._stopped = True
            variants = self._variants
        _stop(variants, drain_seconds)


def _load(variant: Variant) -> tuple[bool, int]:
    return not variant.ready, variant.busy


def _start(variants: tuple[Variant, ...], cancelled: threading.Event) -> None:
    if not variants:
        return
    with ThreadPoolExecutor(len(variants)) as starter:
        starts = [starter.submit(variant.start, cancelled) for variant in variants]
    errors = [error for start in starts if (error := start.exception())]
    if errors:
        raise errors[0]


def _stop(variants: tuple[Variant, ...], drain_seconds: float | None) -> None:
    if not variants:
        return
    with ThreadPoolExecutor(len(variants)) as stopper:
        for variant in variants:
            stopper.submit(variant.stop, drain_seconds=drain_seconds)
