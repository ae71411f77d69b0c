"""Expressions of alarms on metric math, one period at a time."""

from __future__ import annotations

import pytest

from laptop.ministack.metric_math import evaluate, names_in, parse

VALUES = {"m1": 6.0, "m2": 2.0, "zero": 0.0, "gone": None}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("100 * m2 / (m1 + m2)", 25.0),
        ("m1 - m2 - 1", 3.0),
        ("m1^2", 36.0),
        ("-m1", -6.0),
        ("m1 / zero", None),
        ("m1 + gone", None),
        ("FILL(gone, 4) + m1", 10.0),
        ("FILL(m1, 0)", 6.0),
        ("IF(m1 > m2, 1, 0)", 1.0),
        ("IF(m1 < m2 OR m2 == 2 AND m1 != 1, m1, m2)", 6.0),
        ("IF(m1 < 3 || m2 >= 3, 1, 0)", 0.0),
        ("IF(m1 > 1 && m2 > 1, 7)", 7.0),
        ("IF(m1 < 1, 7)", None),
        ("IF(gone > 1, 7, 8)", None),
        ("m1 > 5", 1.0),
        ("SUM([m1, m2, gone])", 8.0),
        ("AVG(METRICS())", 8.0 / 3),
        ("MAX([m1, m2]) - MIN([m1, m2])", 4.0),
        ("SUM([gone])", None),
        ("ABS(m2 - m1) + CEIL(0.2) + FLOOR(1.9)", 6.0),
        ("(0 - m1) ^ 0.5", None),
    ],
)
def test_an_expression_is_evaluated_and_missing_data_stays_missing(expression: str, value: float | None) -> None:
    assert evaluate(expression, VALUES, ["m1", "m2", "zero", "gone"]) == value


@pytest.mark.parametrize(
    "expression",
    ["RATE(m1)", "ANOMALY_DETECTION_BAND(m1, 2)", "m1 if m2 else 1", "m1.real", "'m1'", "FILL(m1, REPEAT)",
     "SUM(m1)", "[m1, m2]", "1 < m1 < 3", "lambda: 1", "__import__('os')", "SELECT AVG(a) FROM b", "m1 +", ""],
)  # fmt: skip
def test_what_is_not_evaluated_is_refused_by_name(expression: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)expression"):
        parse(expression)


def test_the_ids_that_an_expression_uses_are_known() -> None:
    assert names_in("IF(m1 > 2, SUM([m2, m3]), e1)") == {"m1", "m2", "m3", "e1"}
