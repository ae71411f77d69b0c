"""Too few rows, too many, too old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from passerelle.domain.drift.arrivals import freshness, student_tail, volume

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


@given(st.floats(0, 50), st.integers(1, 60))
def test_students_tail_is_scipys(distance: float, freedom: int) -> None:
    assert student_tail(distance, freedom) == pytest.approx(2 * float(stats.t.sf(distance, freedom)), abs=1e-9)


def test_a_window_without_rows_is_a_major_alarm_where_there_usually_are_some() -> None:
    found = volume(0, [980, 1_010, 1_002, 995, 1_020, 990])
    assert found is not None
    assert (found.alarm, found.severity) == (True, "major")
    assert found.words.startswith("0 rows (usually 998")


def test_ten_times_the_rows_alarm_too() -> None:
    found = volume(10_500, [980, 1_010, 1_002, 995, 1_020, 990])
    assert found is not None
    assert found.alarm


@pytest.mark.parametrize("rows", [700, 1_400])
def test_less_than_twice_and_more_than_half_is_no_alarm_however_steady_the_past(rows: int) -> None:
    found = volume(rows, [1_000] * 20)
    assert found is not None
    assert not found.alarm


def test_a_past_that_varies_wildly_makes_no_alarm_of_one_more_wild_window() -> None:
    found = volume(40, [10, 400, 30, 900, 5, 120, 60, 700])
    assert found is not None
    assert not found.alarm


def test_few_windows_say_nothing_yet() -> None:
    assert volume(0, [1_000] * 4) is None


def test_windows_of_steady_traffic_alarm_in_at_most_five_of_a_hundred() -> None:
    rng = np.random.default_rng(0)
    found = [volume(int(rng.poisson(6)), rng.poisson(6, 12).tolist()) for _ in range(400)]
    assert sum(each.alarm for each in found if each) <= 0.05 * 400


def test_the_newest_row_may_be_as_old_as_is_due() -> None:
    fresh = freshness(NOW - timedelta(hours=5), NOW, timedelta(hours=6))
    assert (fresh.alarm, fresh.severity) == (False, "none")
    stale = freshness(NOW - timedelta(hours=15), NOW, timedelta(hours=6))
    assert (stale.alarm, stale.severity) == (True, "moderate")
    assert stale.words == "the newest row is of 2026-01-09 21:00 UTC, 15.0 hours ago (due: 6.0 hours)"


def test_a_source_that_never_spoke_is_a_major_alarm() -> None:
    found = freshness(None, NOW, timedelta(hours=6))
    assert (found.alarm, found.severity, found.words) == (True, "major", "no row ever came")


def test_rows_ahead_of_the_clock_are_named_and_not_stale() -> None:
    found = freshness(NOW + timedelta(hours=3), NOW, timedelta(hours=6))
    assert not found.alarm
    assert "3.0 hours ahead of the clock" in found.words
