"""Where the GPU starts to pay follows from measured times and AWS's prices; without a GPU nothing is claimed of one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

from bench.gpu import break_even, compare, find_gpu, pays_from
from passerelle.domain.cost.fit_times import FitTime
from passerelle.domain.cost.prices import instance_price


def fits(device: str, hardware: str, seconds: Sequence[float]) -> list[FitTime]:
    return [
        FitTime(
            candidate="xgboost", task="binary", device=device, hardware=hardware, threads=4, rows=10 ** (5 + place),
            columns=12, clock="wall", seconds=each, peak_mib=500, date="2026-11-21",
        )
        for place, each in enumerate(seconds)
    ]  # fmt: skip


CPU = fits("cpu", "a processor, 4 cores", (1, 10, 100))


@pytest.mark.parametrize(
    ("gpu_seconds", "ratio", "expected"),
    [
        ((2, 2, 2), 5.0, 10**6),  # at 10 seconds against 2, five times the price is just paid for
        ((2, 2, 2), 1000.0, None),
        ((0.1, 0.1, 0.1), 5.0, 10**5),
        ((4, 4, 4), 1.0, 10**5 * 4),
    ],
)
def test_the_gpu_pays_where_it_is_quicker_by_more_than_it_is_dearer(
    gpu_seconds: Sequence[float], ratio: float, expected: float | None
) -> None:
    assert pays_from(CPU, fits("cuda", "NVIDIA A10G", gpu_seconds), ratio) == (expected and pytest.approx(expected))


def test_the_break_even_is_in_usd_of_instances_with_that_gpu_and_so_many_processors() -> None:
    found = break_even(CPU, fits("cuda", "NVIDIA A10G", (2, 2, 2)), "us-east-1")
    assert {each["gpu"] for each in found} == {"ml.g5.xlarge", "ml.g5.2xlarge"}
    assert {each["processor"] for each in found} == {"ml.m5.xlarge", "ml.c5.xlarge"}
    dear, cheap = (instance_price("SageMaker Training", name, "us-east-1") for name in ("ml.g5.xlarge", "ml.m5.xlarge"))
    assert dear
    assert cheap
    pair = next(each for each in found if (each["processor"], each["gpu"]) == ("ml.m5.xlarge", "ml.g5.xlarge"))
    # Times ten for each ten times the rows: the break-even is where the processor takes 2 s times the prices' ratio.
    assert pair["rows"] == pytest.approx(2 * dear.usd / cheap.usd * 10**5)


def test_without_a_gpu_nothing_of_one_is_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_gpu() is None
    assert [(row["ours"], row["ratio"]) for row in compare(CPU, [])] == [(None, None)] * 3
    assert break_even(CPU, [], "us-east-1") == []
