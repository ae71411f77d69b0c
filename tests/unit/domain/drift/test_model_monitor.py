"""Model Monitor's three files, of our profiles."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.bundle import ColumnType
from passerelle.domain.drift.judged import judge
from passerelle.domain.drift.model_monitor import constraints, statistics, violations
from passerelle.domain.drift.profile import count
from passerelle.domain.drift.reference import make_reference

TYPES: dict[str, ColumnType] = {"amount": "number", "hour": "integer", "origin": "category", "at": "datetime"}


def table(rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "amount": rng.normal(0, 1, rows),
        "hour": rng.integers(0, 24, rows),
        "origin": np.array(["EWR", "JFK", "LGA", None], object)[rng.integers(0, 4, rows)],
        "at": np.full(rows, np.datetime64("2013-01-01T00:00:00")),
    }


REFERENCE = make_reference(table(4_000), TYPES)


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(feature for feature in found["features"] if feature["name"] == name)


def test_statistics_are_the_windows_own() -> None:
    window = table(1_000)
    window["amount"][:10] = np.nan
    found = statistics(REFERENCE.layout, count(REFERENCE.layout, window), TYPES)
    assert found["dataset"] == {"item_count": 1_000}
    amount = of(found, "amount")["numerical_statistics"]
    assert amount["common"] == {"num_present": 990, "num_missing": 10}
    assert amount["mean"] == pytest.approx(np.nanmean(window["amount"]), abs=1e-4)
    assert amount["std_dev"] == pytest.approx(np.nanstd(window["amount"]), rel=1e-3)
    assert of(found, "hour")["inferred_type"] == "Integral"
    origin = of(found, "origin")["string_statistics"]
    assert origin["distinct_count"] == 3
    buckets = origin["distribution"]["categorical"]["buckets"]
    assert {each["value"]: each["count"] for each in buckets}["JFK"] == int(np.sum(window["origin"] == "JFK"))
    json.dumps(found, allow_nan=False)


def test_buckets_hold_every_number_once_between_bounds_that_meet() -> None:
    window = table(1_000)
    kll = of(statistics(REFERENCE.layout, count(REFERENCE.layout, window), TYPES), "amount")["numerical_statistics"]
    buckets = kll["distribution"]["kll"]["buckets"]
    assert 5 <= len(buckets) <= 10
    assert sum(each["count"] for each in buckets) == 1_000
    for one, other in zip(buckets, buckets[1:], strict=False):  # noqa: RUF007
        assert one["upper_bound"] == other["lower_bound"]
    for each in buckets[1:]:
        held = (window["amount"] > each["lower_bound"]) & (window["amount"] <= each["upper_bound"])
        assert held.sum() == each["count"]


def test_constraints_are_what_the_reference_held_to() -> None:
    found = constraints(REFERENCE, TYPES)
    assert of(found, "hour")["num_constraints"] == {"is_non_negative": True}
    assert of(found, "amount")["num_constraints"] == {"is_non_negative": False}
    assert sorted(of(found, "origin")["string_constraints"]["domains"]) == ["EWR", "JFK", "LGA"]
    assert 0.7 < of(found, "origin")["completeness"] < 0.8
    assert found["monitoring_config"]["distribution_constraints"]["comparison_threshold"] == 0.05


def test_violations_are_the_alarms_and_new_columns_under_model_monitors_names() -> None:
    window = table(1_000)
    window["amount"] = window["amount"] + 1
    window["origin"] = np.where(np.arange(1_000) % 5 == 0, "SFO", "JFK").astype(object)
    window["gate"] = np.arange(1_000)
    del window["hour"]
    found = violations(judge(REFERENCE, count(REFERENCE.layout, window)))["violations"]
    kinds = {(each["feature_name"], each["constraint_check_type"]) for each in found}
    assert kinds >= {
        ("amount", "baseline_drift_check"),
        ("origin", "categorical_values_check"),
        ("hour", "missing_column_check"),
        ("gate", "extra_column_check"),
    }
    assert all(each["description"] for each in found)


def test_a_window_without_rows_makes_files_that_are_json() -> None:
    empty = count(REFERENCE.layout, {})
    json.dumps(statistics(REFERENCE.layout, empty, TYPES), allow_nan=False)
    assert violations(judge(REFERENCE, empty)) == {"violations": []}
