"""A clock of its own for the laptop: all that it starts lives at another time, which flows, and jumps when told to.

Whoever replays months in minutes gives the command line this clock's environment; what the platform starts (servers,
functions, jobs, endpoints) has it from there. Nothing of the platform knows of it: libfaketime stands before the C
library's functions that say what time it is. Monotonic time, by which everything waits, stays real. PostgreSQL is not
in it: nothing asks the database what time it is.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from passerelle.errors import SettingsError

_FILE: Final = "FAKETIME_TIMESTAMP_FILE"
_VARIABLES: Final = ("LD_PRELOAD", _FILE, "FAKETIME_DONT_FAKE_MONOTONIC", "FAKETIME_CACHE_DURATION", "NO_FAKE_STAT")
#: A process looks at the file again when the second is another one than when it did last.
_SEEN_SECONDS: Final = 1.2


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that put a process at the clock of the one with this environment; none without a clock."""
    if _FILE not in environ:
        return {}
    return {name: environ[name] for name in _VARIABLES if name in environ}


class Clock:
    """A clock in a file; this process itself stays at the real time."""

    def __init__(self, file: Path) -> None:
        self._file, self._library = file, _library()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            _FILE: str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "0",
            # Files keep real times: bytecode would be stale after each jump.
            "NO_FAKE_STAT": "1",
        }

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return datetime.now(UTC) + timedelta(seconds=int(self._file.read_text()))

    def set(self, moment: datetime) -> None:
        """Let it be that moment, to the second; returns when all processes know. Time never goes back by it.

        Raises ValueError for a moment that is over.
        """
        if self._file.exists() and moment < self.now - timedelta(seconds=1):
            raise ValueError(f"it is {self.now:%Y-%m-%d %H:%M:%S} already: the clock is not set back to {moment}")
        offset = round((moment - datetime.now(UTC)).total_seconds())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f"{self._file.name}.partial")
        # As nobody reads half of it, nobody sees a time that was never set.
        partial.write_text(f"{offset:+d}\n")
        partial.replace(self._file)
        time.sleep(_SEEN_SECONDS)


def _library() -> Path:
    """Find the library without its Python package, which needs others. Raises SettingsError where there is none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SettingsError(
            "A clock for the laptop needs Linux on x86-64: libfaketime's wheel has a library for no other."
        )
    spec = importlib.util.find_spec("libfaketime")
    if spec is None or spec.origin is None:
        raise SettingsError("The package libfaketime is not installed. Run `make install`.")
    return Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
