"""What spot interruptions waste: fits that go on from checkpoints beside fits that start again, over the interval.

    make bench-spot            or: python -m bench.spot [--json] [--rows 50000] [--intervals 0.5 1 2] [--seed 2013]

One XGBoost fit on flights-like rows is killed without warning (SIGKILL) at three seeded random times, each within the
length of an uninterrupted fit, and started again each time until it ends: with checkpoints, and without any, as
training scripts do that keep nothing. Wasted is what all attempts have used of the processor beyond the one that was
never interrupted, starting the interpreter and reading the rows not counted. The peer is the same fit without
checkpoints. The last line of standard output is one JSON object; it also goes to bench/results/spot.json.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bench.fit import described
from bench.flights_rows import write_flights
from bench.report import say, write_result

ROOT: Final = Path(__file__).resolve().parents[1]
INTERRUPTIONS: Final = 3
NEVER: Final = 1e9
PEER: Final = "restart from scratch"


@dataclass(frozen=True)
class Ended:
    """All attempts of one fit: what they used of the processor while fitting, and a hash of its predictions."""

    seconds: float
    predictions: str


def run(folder: Path, every_seconds: float, kills: Sequence[float], work: Path) -> Ended:
    """Fit, killed after so many processor seconds of each attempt in turn, until an attempt ends."""
    work.mkdir(parents=True)
    total = 0.0
    for number in range(len(kills) + 1):
        limit = kills[number] if number < len(kills) else NEVER
        spent, predictions = _attempt(folder, every_seconds, limit, work)
        total += spent
        if predictions:
            return Ended(total, predictions)
    raise RuntimeError("the last attempt is never killed, and must end")


def _attempt(folder: Path, every_seconds: float, limit: float, work: Path) -> tuple[float, str]:
    """Return the processor seconds of one attempt, and its predictions' hash, empty when it was killed."""
    command = [sys.executable, "-m", "bench.spot", "--attempt", str(folder), str(every_seconds), str(limit), str(work)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, -9):
        raise SystemExit(f"An attempt failed:\n{done.stderr[-2_000:]}")
    spent = float((work / "spent").read_text(encoding="utf-8"))
    return (spent, done.stdout.splitlines()[-1]) if done.returncode == 0 else (spent, "")


def attempt(folder: str, every_seconds: str, limit: str, work: str) -> None:
    """Fit in this process; kill it when it has used `limit` seconds of the processor."""
    # Imported before the clock starts: an interpreter's start is no part of a fit.
    importlib.import_module("skops.io")
    importlib.import_module("xgboost")

    from bench.flights import INPUTS
    from passerelle.domain.candidates.pipelines import make_candidate
    from training.train import fit_checkpoint
    from training.train.data import read_rows
    from training.train.fit_checkpoint import FitCheckpoint, fit_resumably

    # The interval by the same clock as the kills: seconds of the processor.
    vars(fit_checkpoint)["time"] = SimpleNamespace(monotonic=time.process_time)
    rows = read_rows(Path(folder), INPUTS, "binary")
    pipeline = make_candidate("xgboost", task="binary", inputs=INPUTS, time_parts=("weekday",), seed=2013, threads=1)
    checkpoint = FitCheckpoint(Path(work) / "x.fit", "xgboost", "bench", float(every_seconds))
    begun = time.process_time()
    _kill_after(float(limit), Path(work) / "spent")
    fit_resumably(pipeline, rows.frame, rows.labels, checkpoint)
    (Path(work) / "spent").write_text(str(time.process_time() - begun), encoding="utf-8")
    shares = pipeline.predict_proba(rows.frame)
    print(hashlib.sha256(shares.tobytes()).hexdigest(), flush=True)
    os._exit(0)


def _kill_after(limit: float, spent: Path) -> None:
    """Let SIGKILL fall at a processor time, so that what else the machine does moves no interruption."""
    import signal
    import threading

    begun = time.process_time()

    def watch() -> None:
        while time.process_time() - begun < limit:
            time.sleep(0.005)
        spent.write_text(str(time.process_time() - begun), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def measure(folder: Path, rows: int, intervals: Sequence[float], seed: int) -> list[dict[str, Any]]:
    """Return the rows of the result: wasted seconds of both, for each interval."""
    data, found = write_flights(folder / "rows", rows), []
    whole = run(data, NEVER, (), folder / "whole")
    generator = random.Random(seed)
    kills = [generator.uniform(0.1, 0.9) * whole.seconds for _ in range(INTERRUPTIONS)]
    say(f"uninterrupted: {whole.seconds:.2f} s; killed after {', '.join(f'{kill:.2f}' for kill in kills)} s")
    scratch = run(data, NEVER, kills, folder / "scratch")
    for interval in intervals:
        ours = run(data, interval, kills, folder / f"every-{interval}")
        for other in (ours, scratch):
            if other.predictions != whole.predictions:
                raise SystemExit("An interrupted fit predicts otherwise than the uninterrupted one.")
        wasted, peer = ours.seconds - whole.seconds, scratch.seconds - whole.seconds
        say(f"every {interval:g} s: {wasted:.2f} s wasted; {PEER}: {peer:.2f} s")
        found.append(
            {
                "measure": f"wasted, {INTERRUPTIONS} interruptions, a checkpoint each {interval:g} s",
                "unit": "s",
                "ours": round(wasted, 3),
                "peer": round(peer, 3),
                "peer_name": PEER,
                "ratio": round(peer / wasted, 2) if wasted > 0 else None,
            }
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/spot.json, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.spot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--intervals", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--seed", type=int, default=2013)
    parser.add_argument("--attempt", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.attempt:
        attempt(*options.attempt)
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        rows = measure(Path(name), options.rows, options.intervals, options.seed)
    result = {"bench": "spot", "rows": rows, "machine": described()}
    write_result(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
