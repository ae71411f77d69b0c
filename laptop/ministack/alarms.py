"""CloudWatch's metric alarms, judged from the stored metrics as CloudWatch documents it.

MiniStack pools all dimensions of a metric, takes the whole time as one datapoint, knows no missing data and looks at an
alarm only when metrics are put. An alarm on one endpoint would ring for another's errors, and never go out. Here each
alarm reads exactly the dimensions that it names and is judged by `alarm_states`, once a second. Periods end now rather
than at full minutes, so that a laptop's deployment need not wait for the next one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from laptop.ministack.alarm_states import COMPARISONS, Datapoint, judge, range_of, reason_data
from laptop.ministack.metric_math import evaluate, names_in
from laptop.ministack.metric_store import Point, last_points
from laptop.settings import LaptopSettings

LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
#: An alarm over very many values is judged less often, so that none costs more than this share of a core.
SHARE: Final = 0.03
#: What takes longer is left to the thread of its own: metrics are put on the server's event loop.
QUICK_SECONDS: Final = 0.02
#: How MiniStack words the reason of an alarm that nobody has judged yet.
_UNCHECKED: Final = "Unchecked: Initial alarm creation"


class Alarms:
    """Takes the place of MiniStack's evaluation, for every metric alarm."""

    def __init__(self, settings: LaptopSettings) -> None:
        self._settings = settings
        #: The state that was found here last; one that differs was set by somebody (SetAlarmState).
        self._found: dict[str, str] = {}
        #: How long it took to judge an alarm, and when it may be judged again.
        self._costs: dict[str, tuple[float, float]] = {}
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        #: Two threads judge; one of them takes the actions of a change.
        self._changing = threading.RLock()

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
        if alarm.get("ComparisonOperator") not in COMPARISONS or not (alarm.get("MetricName") or alarm.get("Metrics")):
            return
        now, old, arn, period = time.time(), alarm["StateValue"], alarm["AlarmArn"], period_of(alarm)
        given = old != self._found.get(arn, "INSUFFICIENT_DATA") and alarm.get("StateReason") != _UNCHECKED
        if given and now < alarm.get("StateUpdatedTimestamp", 0) + period:
            return
        started, (cost, due) = time.monotonic(), self._costs.get(arn, (0.0, 0.0))
        if started < due or (cost > QUICK_SECONDS and threading.current_thread() is not self._thread):
            return
        verdict = judge(alarm, alarm_datapoints(alarm, now))
        cost = time.monotonic() - started
        self._costs[arn] = cost, started + cost / SHARE
        self._found[arn] = verdict.state if verdict else old
        if verdict is None or verdict.state == old:
            return
        with self._changing:
            if alarm["StateValue"] == old:
                data = reason_data(alarm, verdict, period=period, now=now)
                self._change(alarm, verdict.state, verdict.reason, data)

    def _change(self, alarm: dict[str, Any], state: str, reason: str, data: str) -> None:
        from ministack.services import cloudwatch

        now, old = int(time.time()), alarm["StateValue"]
        alarm.update(StateValue=state, StateReason=reason, StateReasonData=data)
        alarm.update(StateUpdatedTimestamp=now, StateTransitionedTimestamp=now)
        cloudwatch._record_history(alarm["AlarmName"], old, state, reason, reason_data=json.loads(data))
        cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
        cloudwatch._evaluate_parent_alarms(alarm)


def period_of(alarm: Mapping[str, Any]) -> int:
    """Return the seconds of one datapoint of an alarm, which metric math says at its metrics or its expression."""
    periods = [query.get("Period") or query.get("MetricStat", {}).get("Period") for query in alarm.get("Metrics") or ()]
    return int(next((period for period in periods if period), None) or alarm.get("Period") or 60)


def alarm_datapoints(alarm: Mapping[str, Any], now: float) -> list[Datapoint | None]:
    """Return the datapoints of an alarm's evaluation range, newest first; None is one without data."""
    queries, count, period = alarm.get("Metrics") or (), range_of(alarm), period_of(alarm)
    if not queries:
        return datapoints(alarm, now, count)
    series = {
        query["Id"]: datapoints(_as_alarm(query["MetricStat"]), now, count)
        for query in queries
        if "MetricStat" in query
    }
    (returned,) = [query for query in queries if query.get("ReturnData", True)]
    if returned["Id"] in series:
        return series[returned["Id"]]
    expressions = {query["Id"]: query["Expression"] for query in queries if "Expression" in query}
    found: list[Datapoint | None] = []
    for index in range(count):
        known = {id_: points[index] for id_, points in series.items()}
        values = {id_: None if point is None else point.value for id_, point in known.items()}
        value = _resolve(returned["Id"], expressions, values, list(series))
        found.append(None if value is None else Datapoint(value, now - (index + 1) * period))
    return found


def _resolve(
    id_: str, expressions: Mapping[str, str], values: dict[str, float | None], metrics: Sequence[str]
) -> float | None:
    """Evaluate an expression after those that it uses; that they form no ring was checked when they were put."""
    for name in names_in(expressions[id_]) - values.keys():
        _resolve(name, expressions, values, metrics)
    values[id_] = evaluate(expressions[id_], values, metrics)
    return values[id_]


def _as_alarm(stat: Mapping[str, Any]) -> dict[str, Any]:
    return {**stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"], "Unit": stat.get("Unit")}


def datapoints(metric: Mapping[str, Any], now: float, count: int) -> list[Datapoint | None]:
    """Return the last `count` datapoints of one metric, newest first; None is one without data.

    `metric` has Namespace, MetricName, Dimensions, Period, and Statistic or ExtendedStatistic as an alarm has them.
    """
    period, unit = float(metric["Period"]), metric.get("Unit")
    dimensions = {item["Name"]: item["Value"] for item in metric.get("Dimensions") or ()}
    found: list[list[Point]] = [[] for _ in range(count)]
    for point in last_points(metric["Namespace"], metric["MetricName"], dimensions, after=now - period * count):
        age = now - point["Timestamp"]
        if age >= 0 and unit in (None, point.get("Unit")):
            found[min(int(age // period), count - 1)].append(point)
    return [_datapoint(metric, points, now - (index + 1) * period) for index, points in enumerate(found)]


def _datapoint(metric: Mapping[str, Any], points: list[Point], start: float) -> Datapoint | None:
    from ministack.services import cloudwatch

    stats = cloudwatch._calc_stats(points)
    if not stats:
        return None
    wanted = metric.get("ExtendedStatistic") or metric.get("Statistic") or "Average"
    value = cloudwatch._stat_value(stats, wanted, points)
    return None if value is None else Datapoint(float(value), start, float(stats["SampleCount"]))


def breaches(action: str) -> list[float]:
    """Return, of every alarm in ALARM that has this action, how far its newest datapoint is from the threshold."""
    from ministack.services import cloudwatch

    found = []
    for alarm in list(cloudwatch._alarms.values()):
        if alarm["StateValue"] == "ALARM" and alarm["ActionsEnabled"] and action in alarm["AlarmActions"]:
            known = [point.value for point in alarm_datapoints(alarm, time.time()) if point is not None]
            found.append(known[0] - float(alarm["Threshold"]) if known else 0.0)
    return found
