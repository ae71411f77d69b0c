"""A clock of its own for the laptop: all that it starts lives at another time, which flows, and jumps when told to.

Whoever replays months in minutes gives the command line this clock's environment; what the platform starts (servers,
functions, jobs, endpoints) has it from there. Nothing of the platform knows of it: clock.c stands before the C
library's functions that say what time it is. Monotonic time, by which everything waits, and the times of files stay
real. PostgreSQL is not in it: nothing asks the database what time it is.

libfaketime would do the same, but it holds a lock where conditions are made, and a process that forks at that moment
has it held in the child for ever: the platform starts its containers so, from many threads.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from passerelle.errors import SettingsError

_FILE: Final = "PASSERELLE_CLOCK"
_PRELOAD: Final = "LD_PRELOAD"
_SOURCE: Final = Path(__file__).with_name("clock.c")
_SECONDS: Final = struct.Struct("=q")


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that put a process at the clock of the one with this environment; none without a clock."""
    if _FILE not in environ:
        return {}
    return {name: environ[name] for name in (_FILE, _PRELOAD) if name in environ}


class Clock:
    """A clock in a folder; this process itself stays at the real time.

    Raises SettingsError where it cannot be: it needs Linux and a C compiler.
    """

    def __init__(self, folder: Path, begin: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._library = folder / "seconds", _compiled(folder)
        self._set(begin)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {_PRELOAD: str(self._library), _FILE: str(self._file)}

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return datetime.now(UTC) + timedelta(seconds=_SECONDS.unpack(self._file.read_bytes())[0])

    def move(self, moment: datetime) -> None:
        """Let it be a later moment, to the second, for all processes at once.

        Raises ValueError for one that is over: whoever waits for a time would wait for ever, and what is kept by its
        time would be in another order.
        """
        if moment < self.now - timedelta(seconds=1):
            raise ValueError(f"it is {self.now:%Y-%m-%d %H:%M:%S} already: the clock is not set back to {moment}")
        self._set(moment)

    def _set(self, moment: datetime) -> None:
        offset = _SECONDS.pack(round((moment - datetime.now(UTC)).total_seconds()))
        # Written in place, at once: processes have mapped this file, not one of its name.
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, offset, 0)
        finally:
            os.close(file)


def _compiled(folder: Path) -> Path:
    if sys.platform != "linux":
        raise SettingsError("A clock of its own for the laptop needs Linux.")
    compiler = shutil.which("cc")
    if compiler is None:
        raise SettingsError("A clock of its own for the laptop needs a C compiler (cc). Install gcc or clang.")
    library = folder / "clock.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(f"`{' '.join(command)}` failed:\n{done.stderr[-1_000:]}")
    return library
