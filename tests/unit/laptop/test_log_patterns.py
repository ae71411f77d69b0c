"""Filter patterns of CloudWatch Logs, and the metrics that metric filters make of what they match."""

from __future__ import annotations

import json
from typing import Any

import pytest

from laptop.ministack.log_patterns import compile_pattern
from laptop.ministack.metric_filters import metric_data

LINE = json.dumps({"answer": {"broken": 3, "ok": True}, "level": "ERROR", "list": [{"a b": 1}], "none": None, "n": "7"})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("{ $.answer.broken > 0 }", True),
        ("{ $.answer.broken >= 4 }", False),
        ("{ $.answer.broken = 3 }", True),
        ("{ $.answer.broken != 3 }", False),
        ("{ $.gone > 0 }", False),
        ("{ $.gone != 3 }", False),
        ('{ $.level = "ERR*" }', True),
        ("{ $.level = ERROR }", True),
        ("{ $.level = %^E.+R$% }", True),
        ('{ $.level = "WARN" }', False),
        ("{ $.answer.ok IS TRUE }", True),
        ("{ $.answer.ok IS FALSE }", False),
        ("{ $.none IS NULL }", True),
        ("{ $.gone IS NULL }", False),
        ("{ $.gone NOT EXISTS }", True),
        ("{ $.level EXISTS }", True),
        ("{ $.list[0]['a b'] < 2 }", True),
        ("{ ($.level = WARN || $.answer.broken > 2) && $.n = 7 }", True),
        ("{ $.level = WARN || $.answer.broken > 2 && $.n = 8 }", False),
    ],
)
def test_conditions_on_the_properties_of_a_line(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(LINE) is matches
    assert not compile_pattern(pattern)("no JSON")


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("ERROR", True),
        ("error", False),
        ("ERROR disk", True),
        ('"disk full"', True),
        ('"full disk"', False),
        ("ERROR -disk", False),
        ("ERROR -memory", True),
        ("?WARN ?ERROR", True),
        ("?WARN ?INFO", False),
        ("%E.{3}R%", True),
    ],
)
def test_words_of_a_line(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)("ERROR: disk full") is matches


@pytest.mark.parametrize(
    "pattern",
    ["[ip, user]", "{ $.a > }", "{ $.a > b }", "{ $.a ", "{ a = 1 }", "{ $.a = 1 && }", "{ ($.a = 1 }", '"open', "{}"],
)
def test_a_pattern_that_is_wrong_or_not_known_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid filter pattern|space-delimited"):
        compile_pattern(pattern)


def made(pattern: str, *lines: str, **rule: Any) -> list[tuple[str, dict[str, Any]]]:
    transformation = {"metricName": "m", "metricNamespace": "N", "metricValue": "1"} | rule
    events = [{"timestamp": 5000, "message": line} for line in lines]
    return metric_data({"filterPattern": pattern, "metricTransformations": [transformation]}, events)


def test_each_line_that_matches_is_a_datum_of_its_time() -> None:
    found = made("ERROR", "ERROR 1", "fine", "ERROR 2")
    assert [(namespace, datum["Value"], datum["Timestamp"]) for namespace, datum in found] == [("N", 1.0, 5.0)] * 2


def test_value_unit_and_dimensions_come_from_the_line() -> None:
    ((_, datum),) = made(
        "{ $.answer.broken > 0 }", LINE, metricValue="$.answer.broken", unit="Count", dimensions={"Level": "$.level"}
    )
    assert (datum["Value"], datum["Unit"]) == (3.0, "Count")
    assert datum["Dimensions"] == [{"Name": "Level", "Value": "ERROR"}]


def test_a_line_without_the_value_or_a_dimension_is_no_datum() -> None:
    assert made("", LINE, metricValue="$.level") == []
    assert made("", LINE, dimensions={"Gone": "$.gone"}) == []


def test_the_default_is_put_where_no_line_matches() -> None:
    ((namespace, datum),) = made("ERROR", "fine", defaultValue=0.0)
    assert (namespace, datum["Value"]) == ("N", 0.0)
    assert made("ERROR", "fine") == []
