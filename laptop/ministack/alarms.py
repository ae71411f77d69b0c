"""CloudWatch's metric alarms, judged from the stored metrics as CloudWatch documents it.

MiniStack pools all dimensions of a metric, takes the whole time as one datapoint, knows no missing data and looks at an
alarm only when metrics are put. An alarm on one endpoint would ring for another's errors, and never go out. Here each
alarm reads exactly the dimensions that it names, M of its last N datapoints count, missing ones as it says, once a
second. Periods end now rather than at full minutes, so that a laptop's deployment need not wait for the next one.
Alarms on metric math are kept in the state that they are given: MiniStack does not store their expressions.
"""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from laptop.settings import LaptopSettings

LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
#: Metrics may be put late, so points are read back so many seconds beyond the first datapoint.
LATE_SECONDS: Final = 60.0
#: An alarm over very many values is judged less often, so that none costs more than this share of a core.
SHARE: Final = 0.03
#: What takes longer is left to the thread of its own: metrics are put on the server's event loop.
QUICK_SECONDS: Final = 0.02
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def judge(alarm: Mapping[str, Any], values: Sequence[float | None]) -> tuple[str, str]:
    """Return an alarm's state and its reason by its last datapoints, newest first; None is one without data.

    "Configuring how CloudWatch alarms treat missing data": breaching and notBreaching count as such, ignore keeps the
    state, missing is INSUFFICIENT_DATA when nothing else is there.
    """
    missing, threshold = alarm.get("TreatMissingData") or "missing", float(alarm["Threshold"])
    known = [value for value in values if value is not None]
    if not known and missing == "ignore":
        return str(alarm["StateValue"]), str(alarm["StateReason"])
    if not known and missing == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {len(values)} datapoints were unknown."
    compare = _COMPARISONS[alarm["ComparisonOperator"]]
    breaching = sum(compare(value, threshold) for value in known)
    if missing == "breaching":
        breaching += len(values) - len(known)
    needed = int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"])
    shown = ", ".join(f"{value:g}" for value in known) or f"none, treated as {missing}"
    words = f"{breaching} of the last {len(values)} datapoints breached the threshold ({threshold:g}): {shown}"
    return ("ALARM" if breaching >= needed else "OK"), f"Threshold Crossed: {words}"


class Alarms:
    """Takes the place of MiniStack's evaluation, for every alarm."""

    def __init__(self, settings: LaptopSettings) -> None:
        self._settings = settings
        #: The state that was found here last; one that differs was set by somebody (SetAlarmState).
        self._found: dict[str, str] = {}
        #: How long it took to judge an alarm, and when it may be judged again.
        self._costs: dict[str, tuple[float, float]] = {}
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def install(self) -> None:
        """Judge alarms whenever metrics or alarms are put, and once a second."""
        from ministack.services import cloudwatch

        cloudwatch._evaluate_alarm = self.evaluate
        self._thread.start()

    def _run(self) -> None:
        from ministack.core.responses import request_scope
        from ministack.services import cloudwatch

        while True:
            time.sleep(LOOK_SECONDS)
            try:
                with request_scope(self._settings.account_id, self._settings.region):
                    cloudwatch._evaluate_all_alarms()
            except Exception:
                LOG.exception("the watch over alarms goes on")

    def evaluate(self, alarm: dict[str, Any]) -> None:
        """Judge one alarm; a state that somebody has set holds for one period, as it does until the next evaluation."""
        from ministack.services import cloudwatch

        if not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in _COMPARISONS:
            return
        now, old, arn = time.time(), alarm["StateValue"], alarm["AlarmArn"]
        given = old != self._found.get(arn, "INSUFFICIENT_DATA")
        if given and now < alarm.get("StateUpdatedTimestamp", 0) + alarm["Period"]:
            return
        started, (cost, due) = time.monotonic(), self._costs.get(arn, (0.0, 0.0))
        if started < due or (cost > QUICK_SECONDS and threading.current_thread() is not self._thread):
            return
        state, reason = judge(alarm, datapoints(alarm, now))
        cost = time.monotonic() - started
        self._costs[arn] = cost, started + cost / SHARE
        self._found[arn] = state
        if state == old:
            return
        alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
        cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
        cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
        cloudwatch._evaluate_parent_alarms(alarm)


def datapoints(alarm: Mapping[str, Any], now: float | None = None) -> list[float | None]:
    """Return the last datapoints of an alarm's metric, newest first; None is one without data."""
    from ministack.services import cloudwatch

    now = time.time() if now is None else now
    period, count = float(alarm["Period"]), int(alarm["EvaluationPeriods"])
    dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions") or ()}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    found: list[list[Any]] = [[] for _ in range(count)]
    points = cloudwatch._metrics.get(key) or []
    for index in range(len(points) - 1, -1, -1):  # others append meanwhile, and there may be millions: no copy
        point = points[index]
        age = now - point["Timestamp"]
        if age > period * count + LATE_SECONDS:
            break
        if 0 <= age < period * count:
            found[int(age // period)].append(point)
    return [_statistic(alarm, datapoint) for datapoint in found]


def breaches(action: str) -> list[float]:
    """Return, of every alarm in ALARM that has this action, how far its newest datapoint is from the threshold."""
    from ministack.services import cloudwatch

    found = []
    for alarm in list(cloudwatch._alarms.values()):
        if alarm["StateValue"] == "ALARM" and alarm["ActionsEnabled"] and action in alarm["AlarmActions"]:
            known = [value for value in datapoints(alarm) if value is not None]
            found.append(known[0] - float(alarm["Threshold"]) if known else 0.0)
    return found


def _statistic(alarm: Mapping[str, Any], points: list[Any]) -> float | None:
    from ministack.services import cloudwatch

    if not points:
        return None
    wanted = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), wanted, points)
    return None if value is None else float(value)
