"""The delay before a retry grows, is capped, and is spread when the state machine asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.ministack.retries import LONGEST_DELAY_SECONDS, delay


@pytest.mark.parametrize(
    ("retrier", "delays"),
    [
        ({}, [1, 2, 4]),
        ({"IntervalSeconds": 3, "BackoffRate": 1.5}, [3, 4.5, 6.75]),
        ({"IntervalSeconds": 5, "BackoffRate": 2, "MaxDelaySeconds": 8}, [5, 8, 8]),
        ({"IntervalSeconds": 500}, [LONGEST_DELAY_SECONDS] * 3),
        ({"IntervalSeconds": 2, "JitterStrategy": "NONE"}, [2, 4, 8]),
    ],
)
def test_the_delay_follows_interval_backoff_and_cap(retrier: dict[str, Any], delays: list[float]) -> None:
    assert [delay(retrier, attempt) for attempt in range(3)] == delays


def test_full_jitter_draws_between_nothing_and_the_whole_delay() -> None:
    drawn = [delay({"IntervalSeconds": 10, "BackoffRate": 1, "JitterStrategy": "FULL"}, 0) for _ in range(200)]
    assert all(0 <= seconds <= 10 for seconds in drawn)
    assert len(set(drawn)) > 100
