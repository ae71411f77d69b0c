"""Measure a serverless endpoint's cold start, and name the memory size that costs least.

    make bench-cold               or: python -m bench.cold_start [--json] [--starts 5] [--requests-per-hour 10]

Our server (`python -m training serve`) is started at full speed; from clock and processor time follows what each memory
size of SageMaker Serverless Inference would take (passerelle/domain/cost/serverless.py). The same start is then done on
shares of a core, to see that the derived figures hold, and with the smallest size's memory as its address space.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.cold_start_process import Start, measure_slowed, measure_start, starts_within
from bench.flights import Flights, train_flights
from bench.report import machine, say, write_result
from bench.serving import CANDIDATES, Subject, subjects
from passerelle.domain.cost.serverless import (
    MB_OF_A_VCPU,
    MEMORY_SIZES,
    Measured,
    Offer,
    Traffic,
    Work,
    cheapest,
    offers,
    seconds_at,
    vcpus,
)

#: Shares of a core that starts are measured at: what the smallest memory size is taken to give, and a quarter.
SHARES: Final = (vcpus(MEMORY_SIZES[0]), 0.25)


def summarise(starts: list[Start]) -> Measured:
    """Return one figure of each kind.

    The quickest start counts, as in `timeit`: other work on the machine only adds. Memory counts by its largest.
    """
    quickest = min(starts, key=lambda start: start.answer.seconds)
    return Measured(
        ping=quickest.ping,
        start=quickest.answer,
        request=min((start.request for start in starts), key=lambda request: request.seconds),
        peak_memory_mb=max(start.peak_memory_mb for start in starts),
    )


def report(measured: Measured, traffic: Traffic, region: str) -> dict[str, Any]:
    """Return the part of the result that follows from what was measured."""
    found = offers(measured, traffic, region)
    return {
        "measured_at_full_speed": asdict(measured),
        "assumed": {
            "mb_of_a_vcpu": MB_OF_A_VCPU,
            "source": "AWS Lambda developer guide; SageMaker says proportional, without a figure",
            "region": region,
            **asdict(traffic),
            "share_of_cold_starts": round(traffic.cold_share, 4),
        },
        "memory_sizes": [asdict(offer) for offer in found],
        "cheapest_memory_mb": _size(cheapest(found)),
        "cheapest_memory_mb_if_starts_are_billed": _size(cheapest(found, with_starts=True)),
    }


def _size(offer: Offer | None) -> int | None:
    return None if offer is None else offer.memory_mb


def verify(subject: Subject, flights: Flights, log: Path, start: Work, times: int) -> list[dict[str, float]]:
    """Start on shares of a core, and return what was derived beside what was measured."""
    rows = []
    for share in SHARES:
        say(f"{times} starts on {share:.2f} of a core")
        found = [measure_slowed(subject, flights.body(1), log, share).seconds for _ in range(times)]
        derived = seconds_at(start, share)
        rows.append({"share": share, "derived": derived, "measured": min(found), "ratio": min(found) / derived})
    return rows


def table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that a person reads."""
    heads = f"{'first ping':>11} {'first answer':>13} {'request':>9} {'USD/million':>12} {'starts billed':>14}"
    yield f"{'MB':>5} {'vCPU':>5} {heads}"
    for size in result["memory_sizes"]:
        usd, with_starts = (
            "unknown" if figure is None else f"{figure:.3f}"
            for figure in (size["usd_per_million"], size["usd_per_million_with_starts"])
        )
        yield (
            f"{size['memory_mb']:>5} {size['vcpus']:>5.2f} {size['first_ping_seconds']:>9.2f} s"
            f" {size['first_answer_seconds']:>11.2f} s {size['warm_request_ms']:>6.2f} ms {usd:>12} {with_starts:>14}"
            f"{'' if size['holds'] else '  too small'}"
        )
    for row in result["verified"]:
        yield f"on {row['share']:.2f} of a core: {row['derived']:.2f} s derived, {row['measured']:.2f} s measured"
    yield f"least cost: {result['cheapest_memory_mb'] or 'unknown'} MB"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write nothing to standard output but the JSON")
    parser.add_argument("--starts", type=int, default=5, help="starts of each kind (default 5, the quickest counts)")
    parser.add_argument("--requests", type=int, default=500, help="requests after each start (default 500)")
    parser.add_argument("--candidate", default="xgboost", choices=CANDIDATES, help="default xgboost: 200 trees")
    parser.add_argument("--rows", type=int, default=50_000, help="flights to train on (default 50,000)")
    parser.add_argument("--region", default="us-east-1", help="whose prices count (default us-east-1)")
    parser.add_argument("--requests-per-hour", type=float, default=10.0, help="assumed traffic (default 10)")
    parser.add_argument("--keep-warm-minutes", type=float, default=5.0, help="assumed life when idle (default 5)")
    options = parser.parse_args(arguments)
    if options.starts < 1 or options.requests < 1 or options.rows < 1_000:
        parser.error("--starts and --requests must be at least 1, --rows at least 1,000")
    if options.requests_per_hour <= 0 or options.keep_warm_minutes < 0:
        parser.error("--requests-per-hour must be above 0, --keep-warm-minutes not below")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark, write bench/results/cold_start.json, and print it."""
    options = parse(arguments)
    described = machine()
    with tempfile.TemporaryDirectory(prefix="passerelle-bench-") as name:
        folder = Path(name)
        say(f"training {options.candidate} on {options.rows:,} flights")
        flights = train_flights(folder, candidate=options.candidate, rows=options.rows, peer=False)
        (subject,), log = subjects(flights, peer=False, bentoml=None), folder / "server.log"
        say(f"{options.starts} starts at full speed")
        starts = [
            measure_start(subject, flights.body(1), log, requests=options.requests) for _ in range(options.starts)
        ]
        measured = summarise(starts)
        verified = verify(subject, flights, log, measured.start, options.starts)
        smallest = MEMORY_SIZES[0]
        answers = starts_within(subject, flights.body(1), log, smallest)
    result = {
        "bench": "cold_start",
        "candidate": options.candidate,
        **report(measured, Traffic(options.requests_per_hour, options.keep_warm_minutes), options.region),
        "median_seconds_to_first_answer": statistics.median(start.answer.seconds for start in starts),
        "verified": verified,
        "answers_within_address_space": {"memory_mb": smallest, "answers": answers},
        "machine": described,
    }
    write_result(result)
    for line in table(result):
        print(line, file=sys.stderr if options.json else sys.stdout)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
