"""A business rule is read by a grammar of its own: what it says is done, what it cannot say is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from passerelle.domain.project import load_project
from passerelle.domain.rule import RuleError, answers, columns_of, parse_rule
from passerelle.errors import ProjectError
from tests.unit.training.fitting import COLUMNS, make_project

FRAME = pd.DataFrame(
    {
        "hour": [6.0, 18.0, 23.0, np.nan],
        "origin": np.asarray(["EWR", "JFK", None, "LGA"], dtype=object),
        "member": [1.0, 0.0, np.nan, 1.0],
        "last month": [10.0, 20.0, np.nan, 40.0],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("hour >= 18", [0, 1, 1, 0]),
        ("hour < 18.5", [1, 1, 0, 0]),
        ("hour != 6", [0, 1, 1, 0]),
        ("hour is missing", [0, 0, 0, 1]),
        ("not hour >= 18", [1, 0, 0, 1]),
        ("origin in [JFK, 'EWR']", [1, 1, 0, 0]),
        ("origin == 'LGA' or origin is missing", [0, 0, 1, 1]),
        ("member == true", [1, 0, 0, 1]),
        ("hour >= 18 or member == true and origin == LGA", [0, 1, 1, 1]),
        ("(hour >= 18 or member == true) and origin == LGA", [0, 0, 0, 1]),
        ("`last month` > -1e1", [1, 1, 0, 1]),
        ("hour in [6, 23]", [1, 0, 1, 0]),
    ],
)
def test_a_condition_holds_where_it_should(condition: str, expected: list[int]) -> None:
    lines = parse_rule([f"{condition} -> 1", "otherwise -> 0"])
    assert answers(lines, FRAME).astype(float).tolist() == expected


def test_the_first_line_that_holds_answers_and_an_empty_cell_leaves_the_row_to_the_next() -> None:
    lines = parse_rule(
        ["hour >= 23 -> `last month`", "hour >= 18 -> 5", "origin == EWR -> `last month`", "otherwise -> 1"]
    )
    assert answers(lines, FRAME).tolist() == [10.0, 5.0, 5.0, 1.0]
    assert columns_of(lines) == ("hour", "origin", "last month")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["hour >= 18 -> 1"], "last line must be `otherwise"),
        (["otherwise -> 1"], "needs a condition"),
        (["otherwise -> 1", "otherwise -> 1"], "never reached"),
        (["hour => 18 -> 1", "otherwise -> 0"], "cannot be read from '=> 18 -> 1' on"),
        (["hour >= -> 1", "otherwise -> 0"], "expected a value, found '->'"),
        (["hour 18 -> 1", "otherwise -> 0"], "expected a comparison, `in` or `is missing`, found '18'"),
        (["(hour > 1 -> 1", "otherwise -> 0"], "expected `)`, found '->'"),
        (["hour > 1 -> 1 2", "otherwise -> 0"], "expected nothing, found '2'"),
        (["hour > 1", "otherwise -> 0"], "expected `->`, found the end"),
        (["__import__('os').system('x') -> 1", "otherwise -> 0"], 'cannot be read from ".system'),
        (["(" * 50 + "hour > 1 -> 1", "otherwise -> 0"], "nested more than 20 deep"),
        (["hour > 1 -> " + "1" * 2_000, "otherwise -> 0"], "at most 1000 characters"),
    ],
)
def test_what_is_no_rule_is_told_with_its_place(lines: list[str], says: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(lines)
    assert says in str(caught.value)


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        lines = parse_rule([text, "otherwise -> 0"])
    except RuleError:
        return
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("task", "line", "says"),
    [
        ("binary", "hours > 1 -> 1", "training.rule.0: 'hours' is no feature"),
        ("binary", "weight > 1 -> 1", "'weight' is no feature"),
        ("binary", "label > 1 -> 1", "'label' is no feature"),
        ("binary", "visits > 1 -> 2", "answers 2.0; a binary task's answer is the probability"),
        ("binary", "visits > many -> 1", "is of type integer and is compared with 'many'"),
        ("binary", "plan > a -> 1", "is of type category, which has no order for >"),
        ("binary", "plan == 1 -> 1", "is of type category and is compared with 1.0"),
        ("binary", "seen_at > 1 -> 1", "'seen_at' is no feature"),
        ("binary", "visits > 1 -> `dose`", "that is for a regression"),
        ("regression", "visits > 1 -> many", "a regression's answer is a number"),
        ("regression", "visits > 1 -> `plan`", "a feature that is a number"),
    ],
)
def test_a_rule_that_does_not_fit_its_project_is_refused_when_it_is_read(task: str, line: str, says: str) -> None:
    with pytest.raises(ProjectError) as caught:
        make_project(task, rule=[line, "otherwise -> 0"])
    assert says in str(caught.value)


def test_a_rule_makes_one_more_candidate_right_after_the_baseline() -> None:
    project = make_project(
        "binary", rule=["dose >= 8 -> 0.7", "otherwise -> 0.05"], candidates=["baseline", "logistic"]
    )
    assert project.candidates == ("baseline", "rule", "logistic")
    document: dict[str, Any] = yaml.safe_load(yaml.safe_dump(project.model_dump(mode="json")))
    assert load_project(yaml.safe_dump(document), source="p").training.rule == project.training.rule
    assert len(COLUMNS) == len(project.data.columns)
