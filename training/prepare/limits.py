"""Bounds on what one dropped file may ask for, so that no file can fill the job's disk or memory.

A Processing job has 30 GB of disk (`VOLUME_GB`) for the raw file, its rows as texts and its typed rows.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from passerelle.errors import InputError

MAX_FILE_BYTES: Final = 8 * 1024**3
MAX_EXPANDED_BYTES: Final = 16 * 1024**3
#: A file may always expand to the floor of its format; beyond it, to this many times its size.
MAX_EXPANSION: Final = 200
TEXT_FLOOR: Final = 64 * 1024**2
PARQUET_FLOOR: Final = 2 * 1024**3
MAX_ROW_GROUP_BYTES: Final = 2 * 1024**3
MAX_COLUMNS: Final = 5_000
MAX_CELL_CHARS: Final = 1024**2
MAX_ROW_CHARS: Final = 8 * 1024**2
BATCH_ROWS: Final = 20_000
BATCH_CHARS: Final = 64 * 1024**2
BATCH_CELLS: Final = 2_000_000


def expanded_limit(path: Path, floor: int) -> int:
    """Return how many bytes a file may expand to."""
    return min(MAX_EXPANDED_BYTES, max(path.stat().st_size * MAX_EXPANSION, floor))


#: DuckDB's memory, such as 4GB or 512MB; unset, it takes 80 % of what the container may use.
MEMORY_VARIABLE: Final = "PASSERELLE_DUCKDB_MEMORY"
#: A thread that groups or sorts keeps pages of its own that cannot go to disk; with less, DuckDB 1.5 gives up.
THREAD_BYTES: Final = 256 * 10**6
_UNITS: Final = {"MB": 10**6, "GB": 10**9}


def duckdb_settings(spill: Path) -> dict[str, Any]:
    """Return DuckDB's settings: how much memory and how many threads it takes, and where on disk the rest goes.

    Raises InputError when the variable is no size.
    """
    spelt = os.environ.get(MEMORY_VARIABLE)
    settings = {"temp_directory": str(spill)}
    if not spelt:
        return settings
    size = re.fullmatch(r"(\d+)(MB|GB)", spelt)
    if not size:
        raise InputError(f"{MEMORY_VARIABLE} is {spelt!r}; write a whole number with its unit: 512MB or 4GB.")
    threads = int(size[1]) * _UNITS[size[2]] // THREAD_BYTES
    return {**settings, "memory_limit": spelt, "threads": max(1, min(threads, os.cpu_count() or 1))}
