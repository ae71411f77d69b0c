"""When a schedule of EventBridge Scheduler is due: rate(), cron() in its time zone, at().

EventBridge Scheduler user guide, "Schedule types" and "Time zones": where a time zone skips an hour, what would run in
it is left out; where it repeats one, it runs once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_RATE: Final = re.compile(r"rate\((\d+) (minutes?|hours?|days?)\)")
_AT: Final = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_SECONDS: Final = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
#: Scheduler is exact to the minute, so an at() of the minute in which it is made still runs.
_PRECISION_SECONDS: Final = 60.0


def check(schedule: Mapping[str, Any]) -> None:
    """Raise ValueError, with Scheduler's words, for an expression or a time zone that there is not."""
    zone = _zone(schedule)
    expression = schedule["ScheduleExpression"]
    rate, at = _RATE.fullmatch(expression), _AT.fullmatch(expression)
    try:
        if at:
            datetime.fromisoformat(at[1]).replace(tzinfo=zone)
        known = bool(at) or (bool(rate) and int(rate[1]) > 0 if rate else _cron(expression) is not None)
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"Invalid Schedule Expression {expression}.")


def next_time(schedule: Mapping[str, Any], after: float, *, fired: bool) -> float | None:
    """Return when a schedule is due next, in seconds since 1970; None is never.

    `after` is when it fired last or, where it has not fired yet, when it was made or changed.
    """
    expression, zone = schedule["ScheduleExpression"], _zone(schedule)
    start, end = epoch(schedule.get("StartDate")), epoch(schedule.get("EndDate"))
    at = _AT.fullmatch(expression)
    if at:
        moment = datetime.fromisoformat(at[1]).replace(tzinfo=zone).timestamp()
        return None if fired or moment < after - _PRECISION_SECONDS else moment
    rate = _RATE.fullmatch(expression)
    if rate:
        found: float | None = after + int(rate[1]) * _SECONDS[rate[2].removesuffix("s")]
        if start is not None and not fired:
            found = max(start, after)
    else:
        found = _next_cron(expression, zone, after if start is None else max(after, start - _PRECISION_SECONDS))
    return None if found is None or (end is not None and found > end) else found


def _next_cron(expression: str, zone: ZoneInfo, after: float) -> float | None:
    from ministack.services import eventbridge

    fields, moment = _cron(expression), datetime.fromtimestamp(after, zone)
    while True:
        # MiniStack walks on the clock of the wall.
        found = eventbridge._cron_next_fire(fields, moment.replace(tzinfo=UTC))
        if found is None:
            return None
        moment = found.replace(tzinfo=zone, fold=0)
        skipped = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None)
        if not skipped and moment.timestamp() > after:
            return float(moment.timestamp())


def _cron(expression: str) -> Any:
    from ministack.services import eventbridge

    return eventbridge._parse_cron_fields(expression)


def _zone(schedule: Mapping[str, Any]) -> ZoneInfo:
    name = schedule.get("ScheduleExpressionTimezone") or "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"Invalid Schedule Expression Timezone {name}.") from None


def epoch(value: Any) -> float | None:
    """Return a date as requests (seconds) and templates (ISO 8601) write it, in seconds since 1970."""
    if value in (None, ""):
        return None
    if isinstance(value, int | float):
        return float(value)
    moment = datetime.fromisoformat(str(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
