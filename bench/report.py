"""What every benchmark says of itself: the machine, its progress, and its result as a file."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from passerelle.domain.machine import processor

RESULTS: Final = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Describe the machine that the figures hold for."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def say(words: str) -> None:
    """Show progress where no JSON is."""
    print(words, file=sys.stderr, flush=True)


def write_result(result: Mapping[str, Any]) -> None:
    """Write bench/results/<bench>.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{result['bench']}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
