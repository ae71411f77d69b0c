"""What state an alarm is in by its last datapoints: M of N, missing data, and the words that CloudWatch uses for it.

CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data": more datapoints are looked at than
EvaluationPeriods names (the evaluation range). The newest real ones count, as many as EvaluationPeriods; only when
there are fewer is TreatMissingData asked, and then for as few datapoints as possible.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

#: The guide's examples look at two more than EvaluationPeriods; CloudWatch does not say more.
EXTRA_DATAPOINTS: Final = 2
COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_WORDS: Final = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
_FILLED: Final = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Datapoint:
    """One period of a metric: its statistic, when it began (seconds since 1970), and of how many samples it is."""

    value: float
    start: float
    samples: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A state, why, and the datapoints that it was found by, newest first."""

    state: str
    reason: str
    evaluated: tuple[Datapoint, ...] = ()


def range_of(alarm: Mapping[str, Any]) -> int:
    """Return how many datapoints an alarm looks at."""
    return int(alarm["EvaluationPeriods"]) + EXTRA_DATAPOINTS


def judge(alarm: Mapping[str, Any], points: Sequence[Datapoint | None]) -> Verdict | None:
    """Judge the datapoints of the evaluation range, newest first, None where there is no data; None keeps the state."""
    missing, count = alarm.get("TreatMissingData") or "missing", int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or count)
    known = tuple(point for point in points if point is not None)[:count]
    filled = count - len(known)
    if not known and missing == "missing":
        plural = "datapoint was" if count == 1 else "datapoints were"
        return Verdict("INSUFFICIENT_DATA", f"Insufficient Data: {count} {plural} unknown.")
    breaching = sum(_breaches(alarm, point) for point in known)
    if missing in _FILLED:
        total = breaching + (filled if missing == "breaching" else 0)
        rings = total >= needed
    else:
        rings = breaching >= needed
        if filled and not rings and breaching == len(known):
            # Nothing is within the threshold and not enough is known ("premature alarm state"): a datapoint that is
            # old enough rings all the same, a young one changes nothing, for the next may be within the threshold.
            rings = missing == "missing" and points.index(known[-1]) + 1 >= needed
            if not rings:
                return None
    state = "ALARM" if rings else "OK"
    if not known:
        return Verdict(state, _nothing_received(count, _FILLED[missing]))
    counted = filled if missing == ("breaching" if rings else "notBreaching") else 0
    return Verdict(state, _crossed(alarm, known, counted, rings=rings), known)


def reason_data(alarm: Mapping[str, Any], verdict: Verdict, *, period: int, now: float) -> str:
    """Return StateReasonData: what was asked and found, as JSON."""
    oldest = min((point.start for point in verdict.evaluated), default=now - period * int(alarm["EvaluationPeriods"]))
    document: dict[str, Any] = {"version": "1.0", "queryDate": stamp(now), "startDate": stamp(oldest)}
    if alarm.get("Unit"):
        document["unit"] = alarm["Unit"]
    if alarm.get("MetricName"):
        document["statistic"] = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    document["period"] = period
    document["recentDatapoints"] = [point.value for point in reversed(verdict.evaluated)]
    document["threshold"] = float(alarm["Threshold"])
    document["evaluatedDatapoints"] = [
        {"timestamp": stamp(point.start), "value": point.value}
        | ({} if point.samples is None else {"sampleCount": point.samples})
        for point in verdict.evaluated
    ]
    return json.dumps(document, separators=(",", ":"))


def stamp(moment: float) -> str:
    """Return a moment (seconds since 1970) as CloudWatch writes it in notifications: milliseconds, +0000."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return f"{text[:23]}+0000"


def _breaches(alarm: Mapping[str, Any], point: Datapoint) -> bool:
    return COMPARISONS[alarm["ComparisonOperator"]](point.value, float(alarm["Threshold"]))


def _nothing_received(count: int, treated: str) -> str:
    periods, were = ("period", "datapoint was") if count == 1 else ("periods", "datapoints were")
    return (
        f"Threshold Crossed: no datapoints were received for {count} {periods} and {count} missing {were} "
        f"treated as [{treated}]."
    )


def _crossed(alarm: Mapping[str, Any], known: Sequence[Datapoint], filled: int, *, rings: bool) -> str:
    """Name the datapoints that speak for the state; `filled` are the missing ones that do."""
    count = int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or count)
    agreeing = [point for point in known if _breaches(alarm, point) == rings]
    shown = ", ".join(f"{point.value!r} ({_short(point.start)})" for point in agreeing)
    words = f"{len(agreeing)} out of the last {count} datapoints [{shown}]"
    if filled:
        words += f" and {filled} missing {'datapoint' if filled == 1 else 'datapoints'}"
    relation = "was" if len(agreeing) + filled == 1 else "were"
    relation += f"{'' if rings else ' not'} {_WORDS[alarm['ComparisonOperator']]}"
    least = needed if rings else count - needed + 1
    return (
        f"Threshold Crossed: {words} {relation} the threshold ({float(alarm['Threshold'])!r}) (minimum {least} "
        f"{'datapoint' if least == 1 else 'datapoints'} for {'OK -> ALARM' if rings else 'ALARM -> OK'} transition)."
    )


def _short(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d/%m/%y %H:%M:%S")
