"""What may be asked of a running job from outside its thread, and how long it has been at work."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from laptop.sagemaker.jobs.lifecycle import Lifecycle

LOG: Final = logging.getLogger(__name__)
#: A killed platform loses at most this much of what its jobs have run.
SAVE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Control:
    """Orders to one job; `ended` is set with `stop` and with `closing`, so that a job can wait for both."""

    stop: threading.Event = field(default_factory=threading.Event)
    interrupt: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    launched: float = field(default_factory=time.monotonic)

    def ask_stop(self) -> None:
        """The user wants the job to end."""
        self.stop.set()
        self.ended.set()

    def close(self) -> None:
        """The platform closes: the job's process ends at once, the job itself goes on later."""
        self.closing.set()
        self.ended.set()


class Clock:
    """How long a job has existed and how long it has had an instance, over restarts of the platform.

    The hours while the platform was down do not count: on AWS there are none, so no limit may come from them.
    """

    def __init__(self, name: str, lifecycle: Lifecycle, control: Control) -> None:
        self._name, self._lifecycle, self._launched = name, lifecycle, control.launched
        job = lifecycle.get(name) or {}
        self._elapsed = float(job.get("_elapsed_seconds", 0.0))
        self._billed = float(job.get("_billed_seconds", 0.0))
        self._instance_since: float | None = None
        self._saved = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the job was created."""
        return self._elapsed + time.monotonic() - self._launched

    @property
    def on_instance(self) -> float:
        """Seconds on instances, over all attempts."""
        running = 0.0 if self._instance_since is None else time.monotonic() - self._instance_since
        return self._billed + running

    def instance_starts(self) -> None:
        self._instance_since = time.monotonic()

    def instance_ends(self) -> None:
        """Stop counting, and write down what was counted."""
        self._billed, self._instance_since = self.on_instance, None
        self.save(force=True)

    def save(self, *, force: bool = False) -> None:
        """Write the counts down, now and then."""
        if force or time.monotonic() - self._saved > SAVE_SECONDS:
            self._saved = time.monotonic()
            try:
                self._lifecycle.note(self._name, _elapsed_seconds=self.elapsed, _billed_seconds=self.on_instance)
            except sqlite3.Error:  # a full disk: no reason to end what runs; the next time may do
                LOG.exception("what %s has run cannot be written down", self._name)
