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
#: So many bytes of raw files are on the disk at the same time, or one file.
AT_ONCE_BYTES: Final = 4 * 1024**3
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


#: DuckDB's memory, such as 4GB or 512MB; unset, it takes 384 MB a core, at most 80 % of what the container may use.
MEMORY_VARIABLE: Final = "PASSERELLE_DUCKDB_MEMORY"
#: A thread that groups or sorts keeps pages of its own that cannot go to disk; with less, DuckDB 1.5 gives up.
THREAD_BYTES: Final = 256 * 10**6
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup/memory.max")
_UNITS: Final = {"MB": 10**6, "GB": 10**9}


#: Unless told otherwise: with more, grouping and sorting hardly gain, and the job's other memory is left alone.
USUAL_THREAD_BYTES: Final = 384 * 10**6


def duckdb_settings(spill: Path, workers: int = 1) -> dict[str, Any]:
    """Return DuckDB's settings: how much memory and how many threads it takes, and where on disk the rest goes.

    Raises InputError when the variable is no size.

    Parameters
    ----------
    workers : how many work at the same time; each takes its share.
    """
    cores = os.cpu_count() or 1
    memory = _given() or min(cores * USUAL_THREAD_BYTES, _container_bytes() * 4 // 5)
    threads = max(1, min(memory // THREAD_BYTES, cores) // workers)
    return {"temp_directory": str(spill), "memory_limit": f"{memory // workers // 10**6}MB", "threads": threads}


def _container_bytes() -> int:
    """Return how much memory this container may use: the machine's, or what its control group says (cgroup v2)."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTROL_GROUP.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _given() -> int | None:
    """Return the bytes that the variable names, if it is set."""
    spelt = os.environ.get(MEMORY_VARIABLE)
    if not spelt:
        return None
    size = re.fullmatch(r"(\d+)(MB|GB)", spelt)
    if not size:
        raise InputError(f"{MEMORY_VARIABLE} is {spelt!r}; write a whole number with its unit: 512MB or 4GB.")
    return int(size[1]) * _UNITS[size[2]]
