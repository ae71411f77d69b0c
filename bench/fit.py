"""Measure how long the candidates' fits take and how much memory they need, and record it for `passerelle advise`.

    python -m bench.fit [--rows 10000 100000 1000000] [--candidates xgboost …] [--threads 1 2] [--repeat 1] [--dry-run]

Each fit runs in a process of its own, one at a time, on flights-like rows. The record is
passerelle/domain/cost/fit_times.csv: one line per fit with hardware and date; a line of the same fit on the same
hardware is replaced. A machine with other work to do is told beforehand, since its times are too long.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.flights import INPUTS
from bench.flights_rows import write_prepared_flights
from bench.report import say
from passerelle.domain import machine
from passerelle.domain.cost.fit_times import FitTime

ROOT: Final = Path(__file__).resolve().parents[1]
RECORD: Final = ROOT / "passerelle" / "domain" / "cost" / "fit_times.csv"
CANDIDATES: Final = ("logistic", "random_forest", "hist_gradient_boosting", "xgboost")
#: A load average above this share of a core per core makes the times of a machine doubtful.
QUIET_LOAD: Final = 0.5


@dataclass(frozen=True)
class Hardware:
    """Where fits run: what the record calls it, and how each child is started on it."""

    name: str
    device: str
    environment: Mapping[str, str]


def processor() -> str:
    """Return the processor's name and how many cores of it this process may use."""
    return f"{machine.processor() or 'unknown processor'}, {machine.cores()} cores"


def measure(folder: Path, candidate: str, hardware: Hardware, threads: int, rows: int, repeat: int) -> FitTime:
    """Return the quickest of some fits: whatever else the machine does can only make one slower."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **hardware.environment, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "bench.fit_once", str(folder), candidate, hardware.device, str(threads)]
    found = [
        json.loads(subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(repeat)
    ]
    # One thread's processor time is what an idle core would take, whatever else this machine has to do meanwhile.
    clock = "processor" if threads == 1 and hardware.device == "cpu" else "wall"
    best = min(found, key=lambda each: float(each[clock]))
    return FitTime(
        candidate=candidate,
        task="binary",
        device=hardware.device,
        hardware=hardware.name,
        threads=threads,
        rows=rows,
        columns=len(INPUTS),
        clock=clock,
        seconds=round(best[clock], 3),
        peak_mib=round(max(each["peak_mib"] for each in found)),
        date=datetime.now(UTC).date().isoformat(),
    )


def run(
    hardware: Hardware, rows: Sequence[int], candidates: Sequence[str], threads: Sequence[int], repeat: int
) -> list[FitTime]:
    """Measure every combination, the smallest data first."""
    found = []
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        for count in sorted(rows):
            folder = write_prepared_flights(Path(name) / str(count), count)
            for candidate in candidates:
                for number in threads:
                    found.append(measure(folder, candidate, hardware, number, count, repeat))
                    say(f"{count:>10,} rows  {candidate:24} {hardware.device:4} {number:>2} threads  "
                        f"{found[-1].seconds:>9.2f} s  {found[-1].peak_mib:>7,} MiB")  # fmt: skip
    return found


def record(found: Iterable[FitTime], path: Path = RECORD) -> None:
    """Write fits into the record, each in place of an earlier one of the same kind."""
    names = [field.name for field in fields(FitTime)]
    with path.open(encoding="utf-8", newline="") as file:
        lines = [FitTime.of(line) for line in csv.DictReader(file)]
    kept = {each.key: each for each in [*lines, *found]}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(kept[key]) for key in sorted(kept))


def warn_of_load() -> None:
    """Say so when this machine has other work to do."""
    load, cores = os.getloadavg()[0], machine.cores()
    if load > QUIET_LOAD * cores:
        say(f"This machine is busy (load {load:.1f} on {cores} cores): the times will be too long.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure on this machine's processor, and record it."""
    parser = argparse.ArgumentParser(prog="python -m bench.fit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, machine.cores()])
    parser.add_argument("--repeat", type=int, default=1, help="fits of each kind; the quickest counts (default 1)")
    parser.add_argument("--dry-run", action="store_true", help="measure, and leave the record as it is")
    options = parser.parse_args(arguments)
    warn_of_load()
    here = Hardware(processor(), "cpu", {})
    found = run(here, options.rows, options.candidates, sorted(set(options.threads)), options.repeat)
    if not options.dry_run:
        record(found)
    print(json.dumps({"bench": "fit", "fits": [asdict(each) for each in found], "machine": described()}))
    return 0


def described() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {"processor": processor(), "python": platform.python_version(), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
