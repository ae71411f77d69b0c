"""How an alarm is judged: M of N datapoints, missing ones as the alarm says."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.ministack.alarms import judge


def alarm(**changes: Any) -> dict[str, Any]:
    return {"Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 3,
            "StateValue": "OK", "StateReason": "as it was"} | changes  # fmt: skip


@pytest.mark.parametrize(
    ("values", "changes", "state"),
    [
        ([6, 6, 6], {}, "ALARM"),
        ([6, 6, 5], {}, "OK"),
        ([6, 5, 6], {"DatapointsToAlarm": 2}, "ALARM"),
        ([5, 5, 5], {"ComparisonOperator": "GreaterThanOrEqualToThreshold"}, "ALARM"),
        ([4, 4, 4], {"ComparisonOperator": "LessThanThreshold"}, "ALARM"),
        ([5, 5, 5], {"ComparisonOperator": "LessThanOrEqualToThreshold"}, "ALARM"),
        ([None, None, None], {}, "INSUFFICIENT_DATA"),
        ([None, None, None], {"TreatMissingData": "notBreaching"}, "OK"),
        ([None, None, None], {"TreatMissingData": "breaching"}, "ALARM"),
        ([None, None, None], {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "ALARM"),
        ([6, None, None], {"DatapointsToAlarm": 1}, "ALARM"),
        ([6, None, None], {}, "OK"),
        ([6, None, None], {"TreatMissingData": "breaching"}, "ALARM"),
        ([1, None, None], {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "OK"),
    ],
)
def test_m_of_the_last_n_datapoints_must_breach(
    values: list[float | None], changes: dict[str, Any], state: str
) -> None:
    assert judge(alarm(**changes), values)[0] == state


def test_the_reason_names_the_datapoints_and_the_threshold() -> None:
    assert judge(alarm(), [6, 7, 8.5])[1] == (
        "Threshold Crossed: 3 of the last 3 datapoints breached the threshold (5): 6, 7, 8.5"
    )
