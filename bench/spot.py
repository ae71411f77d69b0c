"""What spot interruptions waste: where the time of fits goes that are killed three times, over the interval.

    make bench-spot            or: python -m bench.spot [--json] [--rows 200000] [--intervals 1 4] [--seeds 1 2]

Each fit is killed without warning (SIGKILL) at three seeded random times, drawn over the whole of an uninterrupted
process from its start to its end, and started again each time with its checkpoint. Of every kill it is said what the
start before it had cost, how much fitting was lost, and whether that is at most the interval; of every run what it used
beyond the uninterrupted one. The peer keeps nothing: with it, all that was before the last kill is wasted. Times are
the processor's. A run whose predictions differ from the uninterrupted one's ends with an error. The last line of
standard output is one JSON object; it also goes to bench/results/spot.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.flights_rows import write_prepared_flights
from bench.report import machine, say, write_result
from bench.spot_account import Attempt, account, attempts

ROOT: Final = Path(__file__).resolve().parents[1]
INTERRUPTIONS: Final = 3
NEVER: Final = 1e9
#: Rounds or trees for which a fit is long beside its intervals (200,000 rows).
ROUNDS: Final = {"xgboost": 1_200, "hist_gradient_boosting": 600, "random_forest": 100}


@dataclass(frozen=True)
class Ended:
    """All attempts of one fit, what they used of the processor together, and a hash of the predictions."""

    attempts: list[Attempt]
    seconds: float
    predictions: str


def run(folder: Path, candidate: str, interval: float, kills: Sequence[float], work: Path) -> Ended:
    """Fit, killed after so many processor seconds of each attempt in turn, until an attempt ends."""
    work.mkdir(parents=True)
    for kill_at in (*kills, NEVER):
        words = [str(folder), candidate, str(ROUNDS[candidate]), str(interval), str(kill_at), str(work)]
        command = [sys.executable, "-m", "bench.spot_attempt", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, -9):
            raise SystemExit(f"An attempt failed:\n{done.stderr[-2_000:]}")
        if done.returncode == 0:
            break
    lines = (work / "events.jsonl").read_text(encoding="utf-8").splitlines()
    parts = [account(events, interval) for events in attempts([json.loads(line) for line in lines])]
    return Ended(parts, sum(part.start + part.fitting for part in parts), done.stdout.splitlines()[-1])


def drawn(whole: float, seed: int) -> list[float]:
    """Return how long each attempt lives: the kills' times on the job's own clock are uniform over a whole run."""
    generator = random.Random(seed)
    moments = sorted(generator.uniform(0, whole) for _ in range(INTERRUPTIONS))
    return [after - before for before, after in zip([0.0, *moments], moments, strict=False)]


def described(candidate: str, interval: float, seed: int, whole: Ended, ended: Ended, kills: list[float]) -> Any:
    """Return a row of the result: where the waste of one run went, and each of its kills."""
    if ended.predictions != whole.predictions:
        raise SystemExit(f"{candidate}: an interrupted fit predicts otherwise than the uninterrupted one.")
    killed = [part for part in ended.attempts if part.killed]
    starts = sum(part.start for part in ended.attempts) - sum(part.start for part in whole.attempts)
    repeated = sum(part.repeated for part in killed)
    writing, wasted = sum(part.writing for part in ended.attempts), ended.seconds - whole.seconds
    return {
        "candidate": candidate,
        "interval": interval,
        "seed": seed,
        "uninterrupted": whole.seconds,
        "wasted": wasted,
        "starts": starts,
        "repeated": repeated,
        "writing": writing,
        "rest": wasted - starts - repeated - writing,
        "wasted_by_peer": sum(kills),
        "kills": [asdict(part) for part in killed],
        "within_interval": all(part.repeated <= interval for part in killed),
        "within_bound": all(part.repeated <= part.bound for part in killed),
    }


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of the result."""
    data = write_prepared_flights(folder / "rows", options.rows)
    with ThreadPoolExecutor(options.side_by_side) as pool:
        names = options.candidates
        wholes = dict(zip(names, pool.map(lambda name: run(data, name, NEVER, (), folder / name), names), strict=True))
        for name, whole in wholes.items():
            say(f"{name}, {ROUNDS[name]} rounds, uninterrupted: {whole.seconds:.1f} s")
        plans = [(name, interval, seed) for name in names for interval in options.intervals for seed in options.seeds]

        def one(plan: tuple[str, float, int]) -> dict[str, Any]:
            name, interval, seed = plan
            kills = drawn(wholes[name].seconds, seed)
            ended = run(data, name, interval, kills, folder / f"{name}-{interval}-{seed}")
            row: dict[str, Any] = described(name, interval, seed, wholes[name], ended, kills)
            say(_line(row))
            return row

        return list(pool.map(one, plans))


def _line(row: dict[str, Any]) -> str:
    lost = ", ".join(f"{kill['repeated']:.2f}" for kill in row["kills"])
    return (
        f"{row['candidate']:24} every {row['interval']:g} s, seed {row['seed']}: {row['wasted']:6.2f} s wasted "
        f"(starts {row['starts']:.2f}, repeated {row['repeated']:.2f}, writing {row['writing']:.2f}, rest "
        f"{row['rest']:.2f}); from scratch {row['wasted_by_peer']:.2f}; lost per kill {lost} s, "
        f"bound {max(kill['bound'] for kill in row['kills']):.2f} {'held' if row['within_bound'] else 'BROKEN'}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/spot.json, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.spot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--candidates", nargs="+", default=["xgboost", "hist_gradient_boosting"], choices=list(ROUNDS))
    parser.add_argument("--intervals", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--side-by-side", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    described_machine = machine()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        rows = measure(Path(name), options)
    result = {"bench": "spot", "rows": rows, "machine": described_machine}
    write_result(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
