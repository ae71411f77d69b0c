"""What a month will cost if it goes on as its last week did: a plain figure for a dashboard, without an interval."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

_WEEK: Final = 7


def month_forecast(by_day: Mapping[str, float], today: date) -> float:
    """Return USD of the month of `today`: what is known of it, and for the days to come the mean of the last week's.

    Parameters
    ----------
    by_day : USD by day, `yyyy-mm-dd`, also of the days before the month; a day that is missing cost nothing. Today's is
        not complete, and counts in full at the mean when that is more.

    >>> month_forecast({"2026-11-28": 7.0, "2026-11-29": 1.0}, date(2026, 11, 29))
    9.0
    """
    week = [by_day.get(str(today - timedelta(days=back)), 0.0) for back in range(1, _WEEK + 1)]
    mean = sum(week) / _WEEK
    days = calendar.monthrange(today.year, today.month)[1]
    past = sum(by_day.get(str(today.replace(day=number)), 0.0) for number in range(1, today.day))
    return past + max(by_day.get(str(today), 0.0), mean) + mean * (days - today.day)
