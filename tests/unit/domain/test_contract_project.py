"""A contract that could fail while a file is read is refused when the project is read, with all its faults at once."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from passerelle.domain.project import load_project
from passerelle.errors import ProjectError
from tests.e2e.projects import project_document


def told(document: dict[str, Any]) -> str:
    with pytest.raises(ProjectError) as caught:
        load_project(yaml.safe_dump(document), source="p.yaml")
    return str(caught.value)


def with_column(**column: Any) -> dict[str, Any]:
    document = project_document("p-x", "binary")
    document["data"]["columns"].append({"name": "code", "type": "text", **column})
    return document


@pytest.mark.parametrize(
    "pattern",
    ["a(?=b)", "(?<!a)b", r"(a)\1", "a++", "a{1001}", r"x\Z", "(?<n>a)", "[", "a)|(b", "a\\", r"\Qab", "a\0b"],
)
def test_a_pattern_that_re2_cannot_run_is_refused_when_the_project_is_read(pattern: str) -> None:
    assert "p.yaml:" in told(with_column(pattern=pattern))
    assert "columns.8.pattern: is no regular expression of RE2" in told(with_column(pattern=pattern))


@pytest.mark.parametrize("pattern", [r"\pL+", r"[A-Z]{2}\d+", "a|b", "(?i)abc", "it's", "é😀", "a{1000}"])
def test_a_pattern_that_re2_runs_is_accepted_though_pythons_re_may_refuse_it(pattern: str) -> None:
    project = load_project(yaml.safe_dump(with_column(pattern=pattern)), source="p.yaml")
    assert project.column("code").pattern == pattern


def test_a_wrong_value_and_fields_that_do_not_fit_together_are_told_in_one_reading() -> None:
    document = project_document("p-x", "binary")
    document["data"]["columns"][3]["min"] = "many"
    document["data"]["thresholds"]["rejected_rows"] = 7
    document["data"]["entity_id"] = "custmer"
    document["task"]["metric"] = "rmse"
    words = told(document)
    assert "columns.3.min: " in words
    assert "thresholds.rejected_rows: " in words
    assert "'custmer' is not among data.columns; did you mean 'customer'?" in words
    assert "'rmse' is not a metric of a binary task" in words


def test_every_rule_of_a_column_that_does_not_fit_is_told_beside_the_projects_other_problems() -> None:
    document = with_column(type="number", min=3, max=1, allowed=["x"], pattern="a")
    document["task"]["segments"] = ["plann"]
    words = told(document)
    for part in ("min 3 is greater than max 1", "allowed holds 'x'", "max_length and pattern", "did you mean 'plan'?"):
        assert part in words


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ({"name": "_LINE"}, "is reserved"),
        ({"name": " code"}, "has spaces around it"),
        ({"name": "a\0b"}, "holds a NUL character"),
        ({"allowed": ["a\0b"]}, "holds a NUL character"),
        ({"type": "integer", "allowed": [True]}, "allowed holds True, which is no integer"),
    ],
)
def test_names_and_values_that_no_file_can_match_are_refused(column: dict[str, Any], says: str) -> None:
    assert says in told(with_column(**column))


def test_two_spellings_of_one_accent_are_one_name() -> None:
    document = with_column(name="caf\u00e9")
    document["data"]["columns"].append({"name": "cafe\u0301", "type": "text"})
    assert "is declared twice" in told(document)


def test_an_event_time_that_may_be_empty_is_refused() -> None:
    document = project_document("p-x", "binary")
    document["data"]["columns"][1]["nullable"] = True
    assert "data.event_time: column 'seen_at' is nullable" in told(document)


@pytest.mark.parametrize("delimiter", ['"', "\n", "\0"])
def test_a_delimiter_that_cannot_delimit_is_refused(delimiter: str) -> None:
    document = project_document("p-x", "binary")
    document["data"]["csv"] = {"delimiter": delimiter}
    assert "data.csv.delimiter: " in told(document)


@pytest.mark.parametrize("column", ["tier", "customer", "churned"])
def test_a_segment_that_the_gate_would_never_see_is_refused_with_a_remedy(column: str) -> None:
    document = project_document("p-x", "binary")
    document["task"]["segments"] = ["plan", column]
    assert f"task.segments.1: column {column!r} does not reach the prepared data" in told(document)


def test_a_datetime_is_no_segment() -> None:
    document = project_document("p-x", "binary")
    document["task"]["segments"] = ["seen_at"]
    assert "segment by a feature with few values" in told(document)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"true_positive": 40, "false_positive": 12}, "true_negative 0 is not worth more than false_positive 12"),
        ({"false_positive": -12, "false_negative": 40}, "true_positive 0 is not worth more than false_negative 40"),
        ({"per_error_unit": 3}, "an error costs: write -3"),
    ],
)
def test_money_that_rewards_what_is_wrong_is_refused(value: dict[str, float], says: str) -> None:
    document = project_document("p-x", "binary")
    document["why"]["value"] = value
    assert says in told(document)
    document["why"]["value"] = {"true_positive": 40, "false_positive": -12, "false_negative": -40, "per_error_unit": -1}
    load_project(yaml.safe_dump(document), source="p")
