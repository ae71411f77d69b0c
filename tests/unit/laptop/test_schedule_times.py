"""When schedules are due: rates, cron expressions in their time zone, moments; over changes of the clock too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laptop.ministack.schedule_times import check, next_time


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def due(expression: str, after: str, *, fired: bool = False, **options: Any) -> str | None:
    schedule = {"ScheduleExpression": expression, **options}
    check(schedule)
    found = next_time(schedule, epoch(after), fired=fired)
    return None if found is None else datetime.fromtimestamp(found, UTC).isoformat()[:16]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("rate(15 minutes)", "UTC", "2026-11-22T10:07", "2026-11-22T10:22"),
        ("rate(1 day)", "UTC", "2026-11-22T10:07", "2026-11-23T10:07"),
        ("cron(0 6 * * ? *)", "UTC", "2026-11-22T10:07", "2026-11-23T06:00"),
        ("cron(0/15 * * * ? *)", "UTC", "2026-11-22T10:07", "2026-11-22T10:15"),
        ("cron(0 6 * * ? *)", "Europe/Zurich", "2026-11-22T10:07", "2026-11-23T05:00"),
        ("cron(0 6 * * ? *)", "America/New_York", "2026-11-22T10:07", "2026-11-22T11:00"),
        ("cron(0 6 * * ? *)", "Europe/Zurich", "2026-07-22T10:07", "2026-07-23T04:00"),
        ("cron(30 8 ? * MON *)", "Asia/Tokyo", "2026-11-22T10:07", "2026-11-22T23:30"),
        ("cron(0 12 L * ? *)", "UTC", "2026-11-22T10:07", "2026-11-30T12:00"),
        # 2026-03-29 has no 02:30 in Zurich, and 2026-10-25 has two.
        ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-03-28T12:00", "2026-03-30T00:30"),
        ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-25T01:10", "2026-10-26T01:30"),
        ("at(2026-11-22T12:00:00)", "UTC", "2026-11-22T10:07", "2026-11-22T12:00"),
        ("at(2026-11-22T12:00:00)", "Europe/Zurich", "2026-11-22T10:07", "2026-11-22T11:00"),
        ("at(2026-11-22T10:06:30)", "UTC", "2026-11-22T10:07", "2026-11-22T10:06"),
        ("at(2026-11-22T10:00:00)", "UTC", "2026-11-22T10:07", None),
    ],
)
def test_a_schedule_is_due_by_the_clock_of_its_time_zone(
    expression: str, zone: str, after: str, expected: str | None
) -> None:
    assert due(expression, after, ScheduleExpressionTimezone=zone) == expected


def test_a_moment_is_due_once() -> None:
    assert due("at(2026-11-22T12:00:00)", "2026-11-22T12:00", fired=True) is None


def test_a_schedule_begins_at_its_start_and_ends_at_its_end() -> None:
    start, end = epoch("2026-12-01T00:00"), "2026-12-02T00:00:00Z"
    bounds = {"StartDate": start, "EndDate": end}
    assert due("rate(6 hours)", "2026-11-22T10:07", **bounds) == "2026-12-01T00:00"
    assert due("rate(6 hours)", "2026-12-01T00:00", fired=True, **bounds) == "2026-12-01T06:00"
    assert due("rate(6 hours)", "2026-12-01T19:00", fired=True, **bounds) is None
    assert due("cron(0 0 * * ? *)", "2026-11-22T10:07", **bounds) == "2026-12-01T00:00"


@pytest.mark.parametrize(
    ("expression", "zone"),
    [("rate(5)", "UTC"), ("rate(0 minutes)", "UTC"), ("rate(5 seconds)", "UTC"), ("cron(0 6 * * *)", "UTC"),
     ("cron(0 6 * * * *)", "UTC"), ("cron(x 6 * * ? *)", "UTC"), ("at(2026-13-01T00:00:00)", "UTC"),
     ("at(tomorrow)", "UTC"), ("daily", "UTC"), ("rate(5 minutes)", "Mars/Olympus"), ("rate(5 minutes)", "../x")],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(ValueError, match="Invalid Schedule Expression"):
        check({"ScheduleExpression": expression, "ScheduleExpressionTimezone": zone})


@given(
    after=st.floats(epoch("2026-01-01T00:00"), epoch("2027-01-01T00:00")),
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    zone=st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_daily_schedule_is_due_within_two_days_at_its_time_of_the_day(
    after: float, minute: int, hour: int, zone: str
) -> None:
    from zoneinfo import ZoneInfo

    schedule = {"ScheduleExpression": f"cron({minute} {hour} * * ? *)", "ScheduleExpressionTimezone": zone}
    found = next_time(schedule, after, fired=True)
    assert found is not None
    assert after < found <= after + 2 * 86400 + 3600
    local = datetime.fromtimestamp(found, ZoneInfo(zone))
    assert (local.hour, local.minute, local.second) == (hour, minute, 0)
