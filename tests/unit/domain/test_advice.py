"""The advice rests on what was measured and on AWS's prices; what was not measured is said, not made up."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from passerelle.domain.cost.advice import Advice, Question, advise
from passerelle.domain.cost.fit_times import FitTime, fit_times, series
from passerelle.domain.cost.instances import find_spot, instances
from passerelle.domain.cost.prices import instance_price
from passerelle.domain.project.instance_types import unknown_instance_type

QUESTION = Question(
    rows=10_000,
    columns=10,
    candidates=("baseline", "xgboost"),
    task="binary",
    region="us-east-1",
    checkpoint_seconds=30,
)


def fit(rows: int, seconds: float, **changes: object) -> FitTime:
    usual = FitTime(
        candidate="xgboost", task="binary", device="cpu", hardware="a processor, 2 cores", threads=1, rows=rows,
        columns=10, clock="processor", seconds=seconds, peak_mib=200 + rows // 100, date="2026-11-21",
    )  # fmt: skip
    return replace(usual, **changes)  # type: ignore[arg-type]


ALONE = (fit(1_000, 10), fit(100_000, 1_000))


def types(advice: Advice) -> list[str]:
    return [offer.instance_type for offer in advice.offers]


def test_between_measured_sizes_time_is_interpolated_on_logarithms_and_grows_with_the_columns() -> None:
    line = series("xgboost", "binary", "cpu", fits=ALONE)
    assert line
    assert line.seconds(10_000, 10) == pytest.approx(100)
    assert line.seconds(10_000, 30) == pytest.approx(300)
    assert line.seconds(1_000, 10) == pytest.approx(10)
    assert line.memory_mib(1_000, 30) == pytest.approx(210)


@pytest.mark.parametrize("rows", [999, 100_001])
def test_outside_of_the_measured_sizes_nothing_is_advised(rows: int) -> None:
    advice = advise(replace(QUESTION, rows=rows), ALONE)
    assert advice.offers == ()
    assert advice.problem == (
        f"Not measured: {rows:,} training rows lie outside of 1,000 to 100,000, which were measured."
    )


def test_a_candidate_or_task_without_a_record_is_named() -> None:
    assert "no fit of random_forest" in advise(replace(QUESTION, candidates=("random_forest",)), ALONE).problem
    assert "for a regression task" in advise(replace(QUESTION, task="regression"), ALONE).problem


def test_the_cheapest_that_has_the_memory_comes_first_with_awss_price() -> None:
    advice = advise(QUESTION, ALONE)
    best = advice.offers[0]
    price = instance_price("SageMaker Training", best.instance_type, "us-east-1")
    assert price
    assert best.instance_type == "ml.m5.large"
    assert best.usd == pytest.approx(price.usd * 100 / 3600)
    assert [offer.least_usd for offer in advice.offers] == sorted(offer.least_usd for offer in advice.offers)
    hungry = tuple(replace(each, peak_mib=20 * 1024) for each in ALONE)
    assert types(advise(QUESTION, hungry))[0] == "ml.m5.2xlarge"
    endless = tuple(replace(each, peak_mib=4_000 * 1024) for each in ALONE)
    assert "No instance with a known price in us-east-1" in advise(QUESTION, endless).problem


def test_more_processors_help_by_the_share_that_was_measured_to_run_in_parallel() -> None:
    half = advise(QUESTION, (*ALONE, fit(100_000, 500, threads=2, clock="wall")))
    hours = {offer.vcpus: offer.hours * 3600 for offer in half.offers}
    assert hours[2] == pytest.approx(50)
    assert hours[16] == pytest.approx(100 / 16)
    assert any("Amdahl" in note for note in half.notes)
    alone = advise(QUESTION, ALONE)
    assert {round(offer.hours * 3600) for offer in alone.offers} == {100}
    assert any("only one thread was measured" in note for note in alone.notes)


def test_spot_costs_what_its_saving_leaves_and_what_its_interruptions_waste() -> None:
    offer = next(offer for offer in advise(QUESTION, ALONE).offers if offer.instance_type == "ml.m5.xlarge")
    # m5.xlarge, us-east-1: 66 % saved, more than 20 % taken back within a month (30 % taken).
    rate = -math.log(0.7) / 730
    assert offer.interruptions is not None
    assert offer.wasted_seconds is not None
    assert offer.interruptions == pytest.approx(rate * 100 / 3600)
    assert offer.wasted_seconds == pytest.approx(offer.interruptions * 30)
    assert offer.spot_usd == pytest.approx(offer.usd * 0.34 * (1 + offer.wasted_seconds / 100))


def test_where_nothing_of_spot_is_known_only_on_demand_is_offered() -> None:
    advice = advise(replace(QUESTION, region="us-west-2"), (*ALONE, *_on_gpu("NVIDIA L4")))
    assert {offer.spot_usd for offer in advice.offers} == {None}


def _on_gpu(name: str, seconds: float = 1.0) -> tuple[FitTime, ...]:
    return tuple(fit(rows, seconds, device="cuda", hardware=name, clock="wall") for rows in (1_000, 100_000))


def test_without_a_recorded_run_on_a_gpu_no_gpu_instance_is_compared_and_that_is_said() -> None:
    advice = advise(QUESTION, ALONE)
    assert not any(offer.gpu for offer in advice.offers)
    (told,) = (note for note in advice.notes if "GPU" in note)
    assert told.startswith("GPU instances that are not compared, as no run with so many rows on their GPU is recorded")
    assert all(item.instance_type in told for item in instances() if item.gpu)


def test_gpu_instances_are_no_matter_where_no_candidate_uses_a_gpu() -> None:
    alone = tuple(replace(each, candidate="random_forest") for each in ALONE)
    advice = advise(replace(QUESTION, candidates=("random_forest",)), (*alone, *_on_gpu("NVIDIA A10G")))
    assert not any(offer.gpu for offer in advice.offers)
    assert "GPU instances are not compared: none of the candidates uses a GPU." in advice.notes


def test_a_recorded_gpu_stands_for_instances_with_that_gpu_only() -> None:
    advice = advise(QUESTION, (*ALONE, *_on_gpu("NVIDIA A10G")))
    assert {offer.gpu for offer in advice.offers} == {"", "A10G"}
    assert types(advice)[0] == "ml.g5.xlarge"  # a hundred times quicker at six times the price
    (told,) = (note for note in advice.notes if "GPU" in note)
    assert told.startswith("Fits on a GPU measured on NVIDIA A10G (2026-11-21). ")
    assert "ml.g6.xlarge (L4)" in told
    assert "ml.g5" not in told
    slow = advise(QUESTION, (*ALONE, *_on_gpu("NVIDIA A10G", 90.0)))
    assert types(slow)[0] == "ml.m5.large"


def test_every_listed_instance_is_one_of_sagemakers_and_has_a_price_somewhere() -> None:
    regions = ("us-east-1", "us-west-2", "eu-west-1", "eu-west-3")
    for each in instances():
        assert unknown_instance_type(each.instance_type, "training") is None
        assert any(instance_price("SageMaker Training", each.instance_type, region) for region in regions), each
    spot = find_spot(instances()[0], "us-east-1")
    assert spot
    assert not spot.exact


def test_the_record_names_hardware_and_date_of_every_fit() -> None:
    fits = fit_times()
    assert {each.candidate for each in fits} >= {"logistic", "random_forest", "hist_gradient_boosting", "xgboost"}
    for each in fits:
        assert each.hardware
        assert each.date >= "2026-11-21"
        assert each.seconds > 0
    assert advise(replace(QUESTION, rows=100_000, columns=12)).offers
