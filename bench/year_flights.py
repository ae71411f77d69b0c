"""The year that is replayed: flights of 2013 as they are asked for day by day, and as they arrive with their delays."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal

from cli.flights import MONTHS, read_months

YEAR: Final = 2013
#: Of projects/flights/project.yaml: later than this is late.
LATE_MINUTES: Final = 15
#: When the platform looks at windows (`grace_minutes` after midnight, UTC), and when all of a month's delays are known.
LOOKS: Final = time(0, 20, 5, tzinfo=UTC)
DROPS: Final = time(6, 10, tzinfo=UTC)
ASKS: Final = time(12, tzinfo=UTC)
Flight = dict[str, str]


@dataclass(frozen=True)
class Stop:
    """A moment at which the clock stops: days' flights are asked for, their file arrives, or windows are judged."""

    at: datetime
    what: Literal["ask", "drop", "look"]
    days: tuple[date, ...] = ()


class Flights:
    """The flights of the year by day: so many a day, drawn once, or all of them (0)."""

    def __init__(self, rows_per_day: int, *, seed: int = YEAR) -> None:
        drawn = random.Random(seed)
        days: dict[date, list[Flight]] = {}
        for flight in read_months(MONTHS):
            days.setdefault(date(YEAR, int(flight["month"]), int(flight["day"])), []).append(flight)
        few = {day: rows if not rows_per_day else drawn.sample(rows, min(rows_per_day, len(rows)))
               for day, rows in sorted(days.items())}  # fmt: skip
        self._days = {day: sorted(rows, key=lambda row: (row["time_hour"], row["flight"])) for day, rows in few.items()}

    def of(self, day: date) -> list[Flight]:
        """Return the flights of a day."""
        return self._days[day]

    def file(self, days: Iterable[date]) -> bytes:
        """Return the flights of days with their delays, as CSV."""
        text = io.StringIO()
        rows = [row for day in days for row in self._days[day]]
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()


def request_body(rows: Iterable[Flight], asked: Iterable[str]) -> bytes:
    """Return flights as CSV, without what is known only afterwards."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asked), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def is_late(flight: Flight) -> bool | None:
    """Return what the project asks about a flight, None where it never arrived."""
    return None if flight["arr_delay"] in ("", "NA") else float(flight["arr_delay"]) > LATE_MINUTES


def timetable(first: int, last: int, *, monthly_files: bool = False, daily: bool = False) -> list[Stop]:
    """Return the stops of a replay from a month to a month, in order.

    A file comes each Monday, or on the first of the next month, and windows are looked at on Mondays and on the day
    after a file; with `daily` each day. Flights are asked for at noon of the last day before a champion may change.
    """
    begin, end = date(YEAR, first, 1), month_after(last)
    coming = set(days_between(begin + timedelta(days=1), end + timedelta(days=7)))
    mondays = {day for day in coming if day.weekday() == 0}
    final = min(day for day in mondays if day >= end)
    firsts = {month_after(month) for month in range(first, last + 1)}
    files = sorted(day for day in (firsts if monthly_files else mondays) if day < end)
    looks = {day for day in coming if day <= final and (daily or day in mondays)}
    looks |= {day + timedelta(days=1) for day in files}
    stops = {Stop(_at(day, LOOKS), "look") for day in looks}
    for since, until in pairwise([begin, *files]):
        stops.add(Stop(_at(until, DROPS), "drop", tuple(days_between(since, until))))
    for since, until in pairwise(sorted(day for day in {begin, end} | looks | set(files) if day <= end)):
        days = tuple(days_between(since, until))
        stops.add(Stop(_at(days[-1], ASKS), "ask", days))
    return sorted(stops, key=lambda stop: (stop.at, stop.what))


def begin_of(month: int) -> datetime:
    """Return when a replay from this month begins: the file of the month before is there."""
    return _at(date(YEAR, month, 1), DROPS)


def month_after(month: int) -> date:
    """Return the first day after a month."""
    return date(YEAR + month // 12, month % 12 + 1, 1)


def days_between(since: date, until: date) -> Iterator[date]:
    """Yield the days from one on until before another."""
    yield from (since + timedelta(days=number) for number in range((until - since).days))


def _at(day: date, moment: time) -> datetime:
    return datetime.combine(day, moment)
