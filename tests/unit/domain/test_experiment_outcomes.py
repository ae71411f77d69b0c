"""What a prediction turned out to be worth, for each kind of task, and how much that varies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.domain.experiment.outcomes import outcomes_of, spread_of, unit_of
from passerelle.domain.project import Project, load_project
from tests.e2e.projects import project_document

MONEY = {"currency": "EUR", "true_positive": 10.0, "false_positive": -2.0, "true_negative": 1.0, "false_negative": -5.0}


def project(task: str, value: dict[str, Any] | None = None, **label: Any) -> Project:
    document = project_document("p-x", task)
    document["why"]["value"] = value
    document["data"]["label"] |= label
    return load_project(yaml.safe_dump(document), source="p.yaml")


def test_a_decision_earns_what_the_cost_matrix_says_and_is_right_or_wrong() -> None:
    shop = project("binary", MONEY)
    positive = shop.data.label.positive
    labels, decisions = [positive, positive, "other", "other", positive], ["true", "false", "true", "false", None]
    earned = outcomes_of(shop, "value", labels, decisions, [0.5] * 5)
    np.testing.assert_array_equal(earned, [10, -5, -2, 1, np.nan])
    np.testing.assert_array_equal(outcomes_of(shop, "right", labels, decisions, [None] * 5), [1, 0, 0, 1, np.nan])


def test_a_class_is_right_where_it_is_the_labels_and_an_error_costs_by_its_size() -> None:
    classes = outcomes_of(project("multiclass"), "right", ["gold", "basic", "gold"], ["gold", "gold", None], [None] * 3)
    np.testing.assert_array_equal(classes, [1, 0, np.nan])
    errors = project("regression", {"per_error_unit": -3.0})
    np.testing.assert_array_equal(outcomes_of(errors, "value", [5, 2.5], [None, None], [4.0, None]), [-3.0, np.nan])


def test_outcomes_vary_as_the_gate_measured_and_as_nobody_knows_without_it() -> None:
    assert spread_of("value", {"value_spread": 4.5}) == 4.5
    assert spread_of("right", {"accuracy": 0.8}) == pytest.approx(0.4)
    for metrics in ({}, {"value_spread": 0.0}, {"value_spread": float("nan")}, {"accuracy": 1.0}):
        assert spread_of("value", metrics) is None
        assert spread_of("right", metrics) is None


def test_units_are_told_in_words() -> None:
    assert unit_of(project("binary", MONEY), "value") == "EUR a prediction"
    assert unit_of(project("multiclass"), "right") == "the share of right decisions"
