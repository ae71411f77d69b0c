"""The days that are metered, in UTC: those that are asked for, else yesterday and what there is of today."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from passerelle.errors import InputError


@dataclass(frozen=True)
class Day:
    """A day, or what there is of it: from `start` until before `end`."""

    name: str
    start: datetime
    end: datetime


def asked_days(request: Mapping[str, Any], now: datetime) -> list[Day]:
    """Return the days of a request, in order: `day` (yyyy-mm-dd) or `month` (yyyy-mm), else yesterday and today.

    Raises InputError for what is no day or month, or has not begun.
    """
    today = now.astimezone(UTC).date()
    if request.get("day") is not None:
        first = last = _date(str(request["day"]), "day", "yyyy-mm-dd")
    elif request.get("month") is not None:
        first = _date(f"{request['month']}-01", "month", "yyyy-mm")
        last = min(first.replace(day=calendar.monthrange(first.year, first.month)[1]), today)
    else:
        first, last = today - timedelta(days=1), today
    if first > today:
        raise InputError(f"{first} has not begun: it is {today} (UTC). Ask for a day or a month that has.")
    return [_day(first + timedelta(days=number), now) for number in range((last - first).days + 1)]


def _date(text: str, name: str, form: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name}: {text!r} is not of the form {form}.") from error


def _day(day: date, now: datetime) -> Day:
    start = datetime.combine(day, time(), UTC)
    return Day(str(day), start, min(start + timedelta(days=1), now.astimezone(UTC)))
