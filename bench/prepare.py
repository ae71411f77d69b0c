"""Prepare the same files with Passerelle, with pandas and with awswrangler, and measure all in the same run.

    make bench-prepare       or: python -m bench.prepare [--rows 5000000] [--memory 1GB] [--json] [--no-awswrangler]

Each subject runs alone in a process of its own, one after the other. Standard output ends with one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from bench.generated_flights import write_raw_flights
from bench.prepare_subjects import BUCKET, S3_VARIABLE
from bench.report import machine, say, write_result
from training.prepare.limits import MEMORY_VARIABLE, duckdb_settings

ROOT: Final = Path(__file__).resolve().parents[1]
FILES: Final = 4
MEASURES: Final = {
    "throughput": ("rows/s", "per_second"),
    "elapsed": ("s", "seconds"),
    "processor time": ("s", "processor_seconds"),
    "peak memory": ("MB", "peak_mb"),
}


def run(name: str, folder: Path, environment: dict[str, str] | None = None) -> dict[str, float]:
    """Run one subject; returns its figures."""
    say(f"{name} …")
    command = [sys.executable, "-m", "bench.prepare_subjects", name, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3_000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    say(f"{name}: {figures['seconds']:.1f} s, {figures['peak_mb']:,.0f} MB")
    return figures | {"per_second": figures["rows"] / figures["seconds"]}


@contextmanager
def local_s3(raw: Path) -> Iterator[dict[str, str]]:
    """Serve the files by an S3 on this machine; yields the environment to reach it."""
    import boto3
    from moto.server import ThreadedMotoServer

    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="bench", aws_secret_access_key="bench"
        )
        s3.create_bucket(Bucket=BUCKET)
        for path in sorted(raw.iterdir()):
            s3.upload_file(str(path), BUCKET, f"raw/{path.name}")
        yield {**keys, S3_VARIABLE: url}
    finally:
        server.stop()


def compare(ours: dict[str, float], peer: dict[str, float], peer_name: str) -> list[dict[str, Any]]:
    """Return the rows of the result; `ratio` says how many times better ours is."""
    rows = []
    for measure, (unit, key) in MEASURES.items():
        better = ours[key] / peer[key] if measure == "throughput" else peer[key] / ours[key]
        figures = {"ours": round(ours[key], 2), "peer": round(peer[key], 2), "ratio": round(better, 2)}
        rows.append({"measure": measure, "unit": unit, "peer_name": peer_name, **figures})
    return rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="flights to prepare (default 5,000,000)")
    parser.add_argument("--memory", help="DuckDB's memory, such as 512MB (default: 384 MB a core)")
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--no-peers", action="store_true", help="measure Passerelle only")
    parser.add_argument("--no-awswrangler", action="store_true", help="leave awswrangler out")
    options = parser.parse_args(arguments)
    if options.rows < 10_000:
        parser.error("--rows must be at least 10,000")
    return options


def _bytes(memory: str | None) -> int:
    """Return the memory that DuckDB is given."""
    given = {MEMORY_VARIABLE: memory} if memory else {}
    with patch.dict(os.environ, given):
        return int(duckdb_settings(ROOT)["memory_limit"].removesuffix("MB")) * 10**6


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, write bench/results/prepare.json, and print it."""
    options = parse(arguments)
    described = machine()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        folder = Path(name)
        say(f"writing {options.rows:,} flights")
        files = write_raw_flights(folder / "raw", rows=options.rows, files=FILES)
        size = sum(path.stat().st_size for path in files)
        memory = {MEMORY_VARIABLE: options.memory} if options.memory else {}
        ours = run("duckdb", folder, memory)
        rows = []
        if not options.no_peers:
            rows += compare(ours, run("pandas", folder), f"pandas {version('pandas')}")
        if not options.no_peers and not options.no_awswrangler:
            with local_s3(folder / "raw") as environment:
                peer = run("awswrangler", folder, environment)
            rows += compare(ours, peer, f"awswrangler {version('awswrangler')}")
        if not rows:
            rows = [{"measure": m, "unit": unit, "ours": round(ours[key], 2)} for m, (unit, key) in MEASURES.items()]
    result = {
        "bench": "prepare",
        "flights": options.rows,
        "csv_bytes": size,
        "duckdb_memory": options.memory or "384 MB a core",
        "csv_bytes_by_duckdb_memory": round(size / _bytes(options.memory), 2),
        "rows": rows,
        "machine": described,
    }
    write_result(result)
    for row in rows:
        peer_words = (
            f"  {row['peer']:>12,.1f} ({row['peer_name']})  {row['ratio']:g} times better" if "peer" in row else ""
        )
        print(
            f"{row['measure']:16} {row['ours']:>12,.1f} {row['unit']:7}{peer_words}",
            file=sys.stderr if options.json else sys.stdout,
        )
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
