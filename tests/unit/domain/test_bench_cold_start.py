"""The cold start benchmark lets other work on the machine count least, and says what it does not know."""

from __future__ import annotations

from bench.cold_start import report, summarise, table
from bench.cold_start_process import Start
from passerelle.domain.cost.serverless import Measured, Traffic, Work


def _start(seconds: float, *, request: float, memory: float) -> Start:
    return Start(Work(seconds - 0.1, 0.3), Work(seconds, 0.4), Work(request, 0.0002), memory)


def _lines(region: str) -> list[str]:
    measured = Measured(Work(0.5, 0.4), Work(0.6, 0.5), Work(0.001, 0.0005), peak_memory_mb=900.0)
    return list(table(report(measured, Traffic(10, 5), region) | {"verified": []}))


def test_the_quickest_start_and_requests_count_and_the_largest_memory() -> None:
    measured = summarise([_start(2.0, request=0.001, memory=80), _start(0.7, request=0.003, memory=95)])
    assert measured.start == Work(0.7, 0.4)
    assert measured.ping.seconds < measured.start.seconds
    assert measured.request.seconds == 0.001
    assert measured.peak_memory_mb == 95


def test_the_table_names_what_is_too_small_and_the_size_of_least_cost() -> None:
    lines = _lines("us-east-1")
    assert [line.split()[0] for line in lines if line.endswith("too small")] == ["1024"]
    assert lines[-1] == "least cost: 2048 MB"


def test_where_a_price_is_unknown_no_size_is_named() -> None:
    lines = _lines("eu-west-3")
    assert all(line.count("unknown") == 2 for line in lines[1:-1])
    assert lines[-1] == "least cost: unknown MB"
