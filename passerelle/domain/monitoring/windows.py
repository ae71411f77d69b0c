"""Windows of time: hours, days and weeks (from Monday) in UTC, as a project's schedule cuts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from passerelle.domain.project.monitoring import Schedule

LENGTHS: Final[dict[Schedule, timedelta]] = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
}
#: A Monday.
_FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Window:
    """From `start` until before `end`, both in UTC."""

    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Its start, which sorts by time: `2026-11-21T08:00Z`."""
        return f"{self.start:%Y-%m-%dT%H:%MZ}"

    @property
    def days(self) -> Iterator[str]:
        """The days that it touches, as yyyy-mm-dd."""
        day = self.start.replace(hour=0, minute=0)
        while day < self.end:
            yield f"{day:%Y-%m-%d}"
            day += timedelta(days=1)

    @property
    def words(self) -> str:
        """What people call it."""
        length = self.end - self.start
        if length <= LENGTHS["hourly"]:
            return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%H:%M} UTC"
        if length <= LENGTHS["daily"]:
            return f"{self.start:%A, %Y-%m-%d} (UTC)"
        return f"{self.start:%Y-%m-%d} to {self.end - timedelta(days=1):%Y-%m-%d} (UTC)"

    def is_like(self, other: Window, schedule: Schedule) -> bool:
        """Return whether as many rows are to be expected: the same hour of the day, or the same day of the week."""
        if schedule == "hourly":
            return self.start.hour == other.start.hour
        return schedule == "weekly" or self.start.weekday() == other.start.weekday()


def window_at(moment: datetime, schedule: Schedule) -> Window:
    """Return the window that a moment lies in."""
    length = LENGTHS[schedule]
    start = _FIRST + (moment.astimezone(UTC) - _FIRST) // length * length
    return Window(start, start + length)


def window_named(name: str, schedule: Schedule) -> Window:
    """Return the window of a name."""
    return window_at(datetime.fromisoformat(name), schedule)


def windows_until(first: Window, now: datetime, grace: timedelta, schedule: Schedule) -> Iterator[Window]:
    """Yield the windows from `first` on that ended `grace` before `now`, in order."""
    window = first
    while window.end + grace <= now:
        yield window
        window = window_at(window.end, schedule)


def before(window: Window, number: int, schedule: Schedule) -> list[Window]:
    """Return the `number` windows before one, in order."""
    length = LENGTHS[schedule]
    return [Window(window.start - back * length, window.end - back * length) for back in range(number, 0, -1)]
