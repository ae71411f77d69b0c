"""How an alarm is judged: M of N datapoints, missing ones as the alarm says; CloudWatch's own examples hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laptop.ministack.alarm_states import Datapoint, Verdict, judge, range_of, reason_data

MISSING = ("missing", "ignore", "breaching", "notBreaching")
OLDEST_FIRST = st.lists(st.sampled_from("0X-"), min_size=5, max_size=5)


def alarm(**changes: Any) -> dict[str, Any]:
    return {"Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 3,
            "MetricName": "m", "Statistic": "Sum"} | changes  # fmt: skip


def points(values: list[float | None]) -> list[Datapoint | None]:
    """Datapoints of a minute each, newest first."""
    return [None if value is None else Datapoint(value, 600.0 - 60 * age, 1.0) for age, value in enumerate(values)]


def drawn(marks: Any) -> list[Datapoint | None]:
    """Datapoints as the user guide draws them: oldest first, X breaches, 0 does not, - is missing."""
    values: dict[str, float | None] = {"X": 9.0, "0": 1.0, "-": None}
    return points([values[mark] for mark in reversed([mark for mark in marks if mark != " "])])


def state(verdict: Verdict | None) -> str:
    return verdict.state if verdict else "kept"


@pytest.mark.parametrize(
    ("needed", "marks", "states"),
    [
        # Both tables of "Configuring how CloudWatch alarms treat missing data", in the order of MISSING.
        (3, "0 - X - X", ("OK", "OK", "OK", "OK")),
        (3, "- - - - 0", ("OK", "OK", "OK", "OK")),
        (3, "- - - - -", ("INSUFFICIENT_DATA", "kept", "ALARM", "OK")),
        (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (3, "- - X - -", ("ALARM", "kept", "ALARM", "OK")),
        (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
        (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
        (2, "- - - X -", ("ALARM", "kept", "ALARM", "OK")),
        # "Avoiding premature transitions to alarm state": a young breach alone does not ring.
        (3, "- - - - X", ("kept", "kept", "ALARM", "OK")),
        (3, "- - - X -", ("kept", "kept", "ALARM", "OK")),
        (3, "- - - X 0", ("OK", "OK", "OK", "OK")),
        (3, "- - X - 0", ("OK", "OK", "OK", "OK")),
    ],
)
def test_the_tables_of_the_user_guide_hold(needed: int, marks: str, states: tuple[str, ...]) -> None:
    judged = [state(judge(alarm(DatapointsToAlarm=needed, TreatMissingData=rule), drawn(marks))) for rule in MISSING]
    assert tuple(judged) == states


@pytest.mark.parametrize(
    ("operator", "within"),
    [
        ("GreaterThanThreshold", [4, 5]),
        ("GreaterThanOrEqualToThreshold", [4]),
        ("LessThanThreshold", [5, 6]),
        ("LessThanOrEqualToThreshold", [6]),
    ],
)
def test_each_operator_compares_with_the_threshold(operator: str, within: list[int]) -> None:
    rule = alarm(EvaluationPeriods=1, ComparisonOperator=operator)
    assert [value for value in (4, 5, 6) if state(judge(rule, points([value, None, None]))) == "OK"] == within


def test_datapoints_to_alarm_are_all_periods_when_it_is_not_said() -> None:
    assert state(judge(alarm(), drawn("0 0 X 0 X"))) == "OK"
    assert state(judge(alarm(), drawn("0 0 X X X"))) == "ALARM"


@given(marks=OLDEST_FIRST, needed=st.integers(1, 3), rule=st.sampled_from(MISSING))
def test_enough_real_datapoints_decide_alone(marks: list[str], needed: int, rule: str) -> None:
    known = [mark for mark in marks if mark != "-"][-3:]
    verdict = judge(alarm(DatapointsToAlarm=needed, TreatMissingData=rule), drawn(marks))
    if len(known) == 3:
        assert state(verdict) == ("ALARM" if known.count("X") >= needed else "OK")
        assert verdict is not None
        assert len(verdict.evaluated) == 3


@given(marks=OLDEST_FIRST, needed=st.integers(1, 3))
def test_what_rings_though_missing_data_is_good_rings_under_every_rule(marks: list[str], needed: int) -> None:
    judged = {rule: state(judge(alarm(DatapointsToAlarm=needed, TreatMissingData=rule), drawn(marks)))
              for rule in MISSING}  # fmt: skip
    if judged["notBreaching"] == "ALARM":
        assert set(judged.values()) == {"ALARM"}
    if judged["breaching"] == "OK":
        assert set(judged.values()) == {"OK"}
    assert judged["ignore"] in (judged["missing"], "kept")


@given(marks=OLDEST_FIRST, needed=st.integers(1, 3), rule=st.sampled_from(MISSING))
def test_a_datapoint_that_turns_bad_never_ends_an_alarm(marks: list[str], needed: int, rule: str) -> None:
    settings = alarm(DatapointsToAlarm=needed, TreatMissingData=rule)
    worse = ["X" if mark == "0" else mark for mark in marks]
    if state(judge(settings, drawn(marks))) == "ALARM":
        assert state(judge(settings, drawn(worse))) == "ALARM"


@given(marks=OLDEST_FIRST, needed=st.integers(1, 3))
def test_data_is_insufficient_only_where_there_is_none(marks: list[str], needed: int) -> None:
    judged = state(judge(alarm(DatapointsToAlarm=needed), drawn(marks)))
    assert (judged == "INSUFFICIENT_DATA") == (set(marks) == {"-"})


@pytest.mark.parametrize(
    ("changes", "marks", "reason"),
    [
        ({}, "0 0 X X X", "Threshold Crossed: 3 out of the last 3 datapoints [9.0 (01/01/70 00:10:00), "
         "9.0 (01/01/70 00:09:00), 9.0 (01/01/70 00:08:00)] were greater than the threshold (5.0) "
         "(minimum 3 datapoints for OK -> ALARM transition)."),
        ({"EvaluationPeriods": 1}, "- - 0", "Threshold Crossed: 1 out of the last 1 datapoints "
         "[1.0 (01/01/70 00:10:00)] was not greater than the threshold (5.0) "
         "(minimum 1 datapoint for ALARM -> OK transition)."),
        ({"TreatMissingData": "notBreaching"}, "- - - - -", "Threshold Crossed: no datapoints were received for "
         "3 periods and 3 missing datapoints were treated as [NonBreaching]."),
        ({"EvaluationPeriods": 1, "TreatMissingData": "breaching"}, "- - -", "Threshold Crossed: no datapoints were "
         "received for 1 period and 1 missing datapoint was treated as [Breaching]."),
        ({}, "- - - - -", "Insufficient Data: 3 datapoints were unknown."),
    ],
)  # fmt: skip
def test_the_reason_is_worded_as_cloudwatch_words_it(changes: dict[str, Any], marks: str, reason: str) -> None:
    verdict = judge(alarm(**changes), drawn(marks))
    assert verdict is not None
    assert verdict.reason == reason


def test_the_reasons_data_holds_the_datapoints_oldest_and_newest_first() -> None:
    rule = alarm(Unit="Count")
    verdict = judge(rule, points([6.0, 7.0, 8.0, None, None]))
    assert verdict is not None
    data = json.loads(reason_data(rule, verdict, period=60, now=660.0))
    assert data | {"evaluatedDatapoints": None} == {
        "version": "1.0",
        "queryDate": "1970-01-01T00:11:00.000+0000",
        "startDate": "1970-01-01T00:08:00.000+0000",
        "unit": "Count",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [8.0, 7.0, 6.0],
        "threshold": 5.0,
        "evaluatedDatapoints": None,
    }
    assert data["evaluatedDatapoints"][0] == {
        "timestamp": "1970-01-01T00:10:00.000+0000",
        "value": 6.0,
        "sampleCount": 1.0,
    }


def test_two_more_datapoints_are_looked_at_than_the_alarm_names() -> None:
    assert range_of(alarm()) == 5
