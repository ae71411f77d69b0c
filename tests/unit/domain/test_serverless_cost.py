"""The advice on a serverless endpoint's memory: time on a share of a core, cold starts, cost, and what holds the model."""

from __future__ import annotations

import math

import pytest

from passerelle.domain.cost.prices import find_price
from passerelle.domain.cost.serverless import (
    MEMORY_SIZES,
    SERVICE,
    Measured,
    Traffic,
    Work,
    billed_seconds,
    cheapest,
    offers,
    seconds_at,
    vcpus,
)

BUSY = Traffic(requests_per_hour=3_600, keep_warm_minutes=5)
RARE = Traffic(requests_per_hour=1, keep_warm_minutes=5)
REQUEST = Work(0.004, 0.003)


def _measured(*, request: Work = REQUEST, memory: float = 100.0) -> Measured:
    return Measured(ping=Work(0.9, 0.8), start=Work(1.0, 0.8), request=request, peak_memory_mb=memory)


def test_on_half_a_core_the_processors_part_takes_twice_as_long_and_waiting_no_longer() -> None:
    assert seconds_at(Work(1.0, 0.8), 0.5) == pytest.approx(0.2 + 2 * 0.8)
    assert seconds_at(Work(1.0, 0.0), 0.1) == 1.0


def test_more_than_a_core_makes_one_threads_work_no_quicker() -> None:
    assert seconds_at(Work(1.0, 0.8), 3.0) == seconds_at(Work(1.0, 0.8), 1.0) == 1.0


def test_a_vcpu_comes_with_1769_mb_and_only_the_smallest_size_has_less_than_one() -> None:
    assert vcpus(1769) == 1.0
    assert [size for size in MEMORY_SIZES if vcpus(size) < 1] == [1024]


def test_a_begun_millisecond_is_billed_whole_and_a_whole_one_is_not_rounded_up() -> None:
    assert billed_seconds(0.0004) == 0.001
    assert billed_seconds(0.0021) == 0.003
    assert billed_seconds(0.003) == 0.003


def test_a_request_is_cold_when_the_gap_before_it_was_longer_than_an_idle_environment_is_kept() -> None:
    assert Traffic(requests_per_hour=12, keep_warm_minutes=5).cold_share == pytest.approx(math.exp(-1))
    assert Traffic(requests_per_hour=12, keep_warm_minutes=0).cold_share == 1.0
    assert BUSY.cold_share < 1e-100


def test_a_million_requests_cost_their_billed_seconds_at_the_sizes_price() -> None:
    smallest, second, *_ = offers(_measured(), RARE, "us-east-1")
    price = find_price(SERVICE, "us-east-1", "ServerlessInf:Mem-2GB")
    assert price is not None
    assert second.usd_per_million == pytest.approx(0.004 * price.usd * 1e6)
    assert smallest.warm_request_ms == pytest.approx(4 + 3 * (1769 / 1024 - 1))
    assert smallest.first_ping_seconds < smallest.first_answer_seconds == pytest.approx(0.2 + 0.8 * 1769 / 1024)


def test_starts_count_by_their_share_of_the_requests_where_they_are_billed() -> None:
    (_, second, *_) = offers(_measured(), RARE, "us-east-1")
    cold = RARE.cold_share
    assert second.usd_per_million_with_starts == pytest.approx((0.004 * (1 - cold) + 1.0 * cold) * 4e-5 * 1e6)
    (_, busy, *_) = offers(_measured(), BUSY, "us-east-1")
    assert busy.usd_per_million_with_starts == pytest.approx(busy.usd_per_million)


def test_the_smallest_size_that_holds_the_model_is_named() -> None:
    found = offers(_measured(), RARE, "us-east-1")
    assert (best := cheapest(found)) is not None
    assert best.memory_mb == 1024
    larger = offers(_measured(memory=1500.0), RARE, "us-east-1")
    assert [offer.memory_mb for offer in larger if not offer.holds] == [1024]
    assert (best := cheapest(larger)) is not None
    assert best.memory_mb == 2048
    assert cheapest(offers(_measured(memory=5000.0), RARE, "us-east-1")) is None


def test_equal_cost_goes_to_the_smaller_size_and_rounding_to_milliseconds_decides_near_it() -> None:
    # 0.7 ms is billed as 1 ms; on the smallest size it takes 1.2 ms and is billed as 2, at half the price: equal.
    equal = offers(_measured(request=Work(0.0007, 0.0007)), BUSY, "us-east-1")
    assert equal[0].usd_per_million == equal[1].usd_per_million
    assert (best := cheapest(equal)) is not None
    assert best.memory_mb == 1024


def test_an_unknown_price_stays_unknown_and_no_size_is_named() -> None:
    found = offers(_measured(), RARE, "eu-west-3")
    assert {offer.usd_per_million for offer in found} == {None}
    assert {offer.usd_per_million_with_starts for offer in found} == {None}
    assert cheapest(found) is None
    assert cheapest(found, with_starts=True) is None
    assert found[0].first_answer_seconds > found[1].first_answer_seconds
