"""Serve one model with our container's server, MLflow's and BentoML's, and measure all in the same run.

    make bench-serving            or: python -m bench.serving [--json] [--seconds 5] [--starts 3] [--candidate xgboost]

All serve the same fitted pipeline on this machine, one process each, one after the other, asked by the same client.
Standard output holds one JSON object (with --json nothing else); progress and a table go to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from bench.flights import Flights, train_flights
from bench.load import ask_once, run_load
from bench.report import machine, say, write_result

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS: Final = 120.0
CONCURRENCY: Final = 16
BATCH_ROWS: Final = 10_000
WARM_UP_REQUESTS: Final = 50
CANDIDATES: Final = ("xgboost", "hist_gradient_boosting", "random_forest", "logistic")
THROUGHPUT: Final = f"throughput, 1 row, {CONCURRENCY} connections"
#: As on an instance of so many cores; of our server only: the others' figures are of one process.
WORKERS: Final = os.cpu_count() or 1
THROUGHPUT_OF_WORKERS: Final = f"{THROUGHPUT}, {WORKERS} workers"
BATCH: Final = f"batch of {BATCH_ROWS:,} rows, CSV"
#: The unit of a measure, by its first word.
UNITS: Final = {
    "start": "s",
    "latency": "ms",
    "processor": "ms",
    "throughput": "requests/s",
    "memory": "MB",
    "batch": "rows/s",
}


@dataclass(frozen=True)
class Subject:
    """A server under measurement; `{port}` in its command and environment stands for its port."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]


def subjects(flights: Flights, *, peer: bool, bentoml: Path | None) -> Iterator[Subject]:
    """Yield our server, then MLflow's, then BentoML's where an environment has it."""
    ours = {
        "SAGEMAKER_BASE_DIR": str(flights.base),
        "SAGEMAKER_BIND_TO_PORT": "{port}",
        "PASSERELLE_BIND_HOST": "127.0.0.1",
    }
    yield Subject("passerelle", (sys.executable, "-m", "training", "serve"), ours)
    if peer:
        serve = (sys.executable, "-m", "mlflow", "models", "serve", "-m", str(flights.mlflow_model))
        options = ("--env-manager", "local", "--host", "127.0.0.1", "--port", "{port}")
        # MLflow starts its server by the name of a command: it must be found beside this interpreter.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield Subject(f"mlflow {version('mlflow')}", (*serve, *options), {"PATH": path})
    if bentoml is not None:
        yield _bentoml(bentoml, flights)


def _bentoml(python: Path, flights: Flights) -> Subject:
    command = (str(python), "-m", "bentoml", "serve", "bench.serving_bentoml:Flights", "--host", "127.0.0.1")
    environment = {
        "PIPELINE": str(flights.mlflow_model / "model.pkl"),
        "SIGNATURE": str(flights.base / "model" / "signature.json"),
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    asked = subprocess.run(
        (str(python), "-c", "import bentoml; print(bentoml.__version__)"), capture_output=True, text=True, check=True
    )
    return Subject(f"bentoml {asked.stdout.strip()}", (*command, "--port", "{port}"), environment)


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    process: psutil.Process
    start_seconds: float

    def memory(self) -> float:
        """Return the resident megabytes of the server with all its children."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(float(member.memory_info().rss) for member in family) / 1e6

    def processor_seconds(self) -> float:
        """Return what the server has used of the processor, with all its children: other work does not change it."""
        times = [member.cpu_times() for member in [self.process, *self.process.children(recursive=True)]]
        return sum(float(time.user + time.system) for time in times)


@dataclass(frozen=True)
class Launched:
    """A server that may not answer yet."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    begun: float
    log: Path

    def wait(self, ask: Callable[[], None]) -> float:
        """Ask until there is an answer, and return the seconds since the start; `ask` raises OSError before."""
        while True:
            try:
                ask()
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - self.begun > START_SECONDS:
                    raise SystemExit(f"{self.name} did not start:\n{self.log.read_text()[-2_000:]}") from None
                time.sleep(0.005)
            else:
                return time.perf_counter() - self.begun


@contextmanager
def launched(subject: Subject, log: Path) -> Iterator[Launched]:
    """Start a server on a free port, and end it with all its children."""
    port = free_port()
    environment = {name: value.format(port=port) for name, value in subject.environment.items()}
    with log.open("ab") as file:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [part.format(port=port) for part in subject.command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Launched(subject.name, port, process, begun, log)
    finally:
        _end(process)


@contextmanager
def started(subject: Subject, body: bytes, log: Path) -> Iterator[Running]:
    """Start a server, wait for its first answer, and end it with all its children."""
    with launched(subject, log) as server:
        seconds = server.wait(lambda: ask_once(server.port, body))
        yield Running(server.port, psutil.Process(server.process.pid), seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the session of a process that we started."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        os.killpg(process.pid, signal.SIGKILL)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        process.wait()


def measure(subject: Subject, flights: Flights, options: argparse.Namespace, log: Path) -> dict[str, float]:
    """Return {measure: figure} of one server."""
    body = flights.body(1)
    starts = []
    for number in range(1, options.starts):
        say(f"{subject.name}: start {number} of {options.starts}")
        with started(subject, body, log) as running:
            starts.append(running.start_seconds)
    say(f"{subject.name}: start {options.starts} of {options.starts}")
    with started(subject, body, log) as running:
        starts.append(running.start_seconds)
        figures = _measure_load(subject.name, running, flights, options.seconds)
    return {"start to first answer": statistics.median(starts)} | figures


def _measure_load(name: str, running: Running, flights: Flights, seconds: float) -> dict[str, float]:
    figures = {}
    run_load(running.port, flights.body(1), connections=1, seconds=0, least=WARM_UP_REQUESTS)
    for words, rows in (("1 row", 1), ("100 rows", 100)):
        say(f"{name}: {words}, one connection, {seconds:g} s")
        used = running.processor_seconds()
        load = run_load(running.port, flights.body(rows), connections=1, seconds=seconds)
        figures[f"latency p50, {words}"] = load.percentile(0.5) * 1_000
        figures[f"latency p99, {words}"] = load.percentile(0.99) * 1_000
        figures[f"processor time, {words}"] = (running.processor_seconds() - used) / len(load.seconds) * 1_000
    say(f"{name}: 1 row, {CONCURRENCY} connections, {seconds:g} s")
    load = run_load(running.port, flights.body(1), connections=CONCURRENCY, seconds=seconds)
    figures[THROUGHPUT] = load.per_second
    figures["memory, all processes"] = running.memory()
    return figures


def _measure_ours(subject: Subject, flights: Flights, seconds: float, log: Path) -> dict[str, float]:
    """Return what is asked of our server alone: a worker for each core, and a large CSV."""
    environment = subject.environment | {"SAGEMAKER_MODEL_SERVER_WORKERS": str(WORKERS)}
    with started(Subject(subject.name, subject.command, environment), flights.body(1), log) as running:
        say(f"{subject.name}: 1 row, {CONCURRENCY} connections, {WORKERS} workers, {seconds:g} s")
        run_load(running.port, flights.body(1), connections=CONCURRENCY, seconds=0, least=WARM_UP_REQUESTS)
        load = run_load(running.port, flights.body(1), connections=CONCURRENCY, seconds=seconds)
        figures = {THROUGHPUT_OF_WORKERS: load.per_second}
    with started(subject, flights.body(1), log) as running:
        say(f"{subject.name}: {BATCH_ROWS:,} rows of CSV, {seconds:g} s")
        batch = run_load(running.port, flights.csv(BATCH_ROWS), connections=1, seconds=seconds, content_type="text/csv")
        return figures | {BATCH: BATCH_ROWS / batch.percentile(0.5)}


def compare(figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return the rows of the result, one for each measure and peer; `ratio` says how many times better ours is."""
    (_, ours), *peers = figures.items()
    rows = []
    for name, figure in ours.items():
        row = {"measure": name, "unit": UNITS[name.replace(",", " ").split()[0]], "ours": round(figure, 3)}
        others = [(peer, theirs[name]) for peer, theirs in peers if name in theirs]
        for peer, other in others:
            ratio = figure / other if name == THROUGHPUT else other / figure
            rows.append(row | {"peer": round(other, 3), "peer_name": peer, "ratio": round(ratio, 2)})
        if not others:
            rows.append(row | {"peer": None, "peer_name": None, "ratio": None})
    return rows


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts (default 5)")
    parser.add_argument(
        "--starts", type=int, default=3, help="how often each server is started (default 3, the median counts)"
    )
    parser.add_argument("--candidate", default="xgboost", choices=CANDIDATES, help="default xgboost: 200 trees")
    parser.add_argument("--rows", type=int, default=50_000, help="flights to train on (default 50,000)")
    parser.add_argument("--bentoml", type=Path, help="Python of an environment that has BentoML (bench/README.md)")
    parser.add_argument("--no-peer", action="store_true", help="do not measure MLflow's server")
    options = parser.parse_args(arguments)
    if options.starts < 1 or options.seconds <= 0 or options.rows < 1_000:
        parser.error("--starts must be at least 1, --seconds above 0, --rows at least 1,000")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, write bench/results/serving.json, and print it."""
    options = parse(arguments)
    described = machine()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        folder = Path(name)
        say(f"training {options.candidate} on {options.rows:,} flights")
        pickled = not options.no_peer or options.bentoml is not None
        flights = train_flights(folder, candidate=options.candidate, rows=options.rows, peer=pickled)
        log, figures = folder / "server.log", {}
        for subject in subjects(flights, peer=not options.no_peer, bentoml=options.bentoml):
            figures[subject.name] = measure(subject, flights, options, log)
            if len(figures) == 1:
                figures[subject.name] |= _measure_ours(subject, flights, options.seconds, log)
    rows = compare(figures)
    result = {"bench": "serving", "candidate": options.candidate, "rows": rows, "machine": described}
    write_result(result)
    for row in rows:
        peer = (
            ""
            if row["peer"] is None
            else f"  {row['peer']:>10,.2f} ({row['peer_name']})  {row['ratio']:g} times better"
        )
        print(
            f"{row['measure']:42} {row['ours']:>10,.2f} {row['unit']:10}{peer}",
            file=sys.stderr if options.json else sys.stdout,
        )
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
