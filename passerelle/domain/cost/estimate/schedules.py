"""How many hours a month something runs that EventBridge Scheduler starts and stops."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from passerelle.domain.cost.estimate.parts import HOURS

_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY
_REFERENCE: Final = re.compile(r"\$\{(\w+)[.\w]*\}")
#: Calls of the scheduler's universal target that switch a resource on or off, with the input that names it.
_SWITCHES: Final = {
    "rds:startdbinstance": ("DbInstanceIdentifier", True),
    "rds:stopdbinstance": ("DbInstanceIdentifier", False),
    "rds:startdbcluster": ("DbClusterIdentifier", True),
    "rds:stopdbcluster": ("DbClusterIdentifier", False),
}
_SCALE: Final = "ecs:updateservice"


def running_hours(logical_id: str, schedules: Sequence[Mapping[str, Any]]) -> float:
    """Return the hours a month that a resource runs; all of them where no schedule of a week switches it.

    Parameters
    ----------
    schedules : the resolved properties of the template's AWS::Scheduler::Schedule.
    """
    switches = sorted(switch for item in schedules for switch in _switches(logical_id, item))
    if len({on for _, on in switches}) < 2:
        return HOURS
    minutes = 0
    for (start, on), (stop, _) in zip(switches, [*switches[1:], (switches[0][0] + _WEEK, True)], strict=True):
        minutes += (stop - start) * on
    return HOURS * minutes / _WEEK


def _switches(logical_id: str, schedule: Mapping[str, Any]) -> Iterator[tuple[int, bool]]:
    """Yield the minutes of a week at which a schedule switches a resource on or off."""
    target = schedule.get("Target")
    if not isinstance(target, Mapping) or schedule.get("State") == "DISABLED":
        return
    call = str(target.get("Arn", "")).lower().rpartition("aws-sdk:")[2]
    try:
        given = json.loads(str(target.get("Input", "")))
    except ValueError:
        return
    if not isinstance(given, dict):
        return
    if call == _SCALE:
        named, on = given.get("Service"), bool(given.get("DesiredCount"))
    elif call in _SWITCHES:
        key, on = _SWITCHES[call]
        named = given.get(key)
    else:
        return
    if logical_id in _REFERENCE.findall(str(named)):
        yield from ((minute, on) for minute in _minutes(str(schedule.get("ScheduleExpression", ""))))


def _minutes(expression: str) -> Iterator[int]:
    """Yield the minutes of a week, from Sunday's start, of `cron(minute hour ? * days *)`; none of other schedules."""
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if not expression.startswith("cron(") or len(fields) != 6:
        return
    minute, hour, day, month, weekdays, year = fields
    if not (minute.isdigit() and hour.isdigit() and day in "?*" and month == "*" and year == "*"):
        return
    for weekday in _weekdays(weekdays):
        yield weekday * _DAY + int(hour) * 60 + int(minute)


def _weekdays(text: str) -> set[int]:
    if text in "?*":
        return set(range(7))
    found: set[int] = set()
    for part in text.upper().split(","):
        ends = [_DAYS.index(end) if end in _DAYS else int(end) - 1 if end.isdigit() else -1 for end in part.split("-")]
        if len(ends) > 2 or not all(0 <= end < 7 for end in ends):
            return set()
        first, last = ends[0], ends[-1]
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return found
