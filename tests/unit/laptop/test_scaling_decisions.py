"""How much capacity policies ask for."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.sagemaker.scaling.decide import stepped, tracked


@pytest.mark.parametrize(
    ("capacity", "value", "wanted"),
    [
        (1, 10.0, 1),
        (1, 10.1, 2),
        (2, 40.0, 8),
        (4, 9.5, 4),
        (4, 8.9, 4),
        (4, 7.5, 3),
        (4, 0.1, 1),
    ],
)
def test_target_tracking_brings_the_metric_to_its_target_and_scales_in_only_well_below(
    capacity: int, value: float, wanted: int
) -> None:
    assert tracked({"TargetValue": 10.0}, capacity, value) == wanted


def test_scaling_in_can_be_switched_off() -> None:
    assert tracked({"TargetValue": 10.0, "DisableScaleIn": True}, 4, 0.1) == 4


STEPS = [
    {"MetricIntervalUpperBound": -5, "ScalingAdjustment": -20},
    {"MetricIntervalLowerBound": -5, "MetricIntervalUpperBound": 0, "ScalingAdjustment": -10},
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 5, "ScalingAdjustment": 10},
    {"MetricIntervalLowerBound": 5, "ScalingAdjustment": 30},
]


@pytest.mark.parametrize(
    ("kind", "breach", "wanted"),
    [
        ("ChangeInCapacity", 0.0, 20),
        ("ChangeInCapacity", 4.9, 20),
        ("ChangeInCapacity", 5.0, 40),
        ("ChangeInCapacity", -1.0, 0),
        ("ChangeInCapacity", -5.0, -10),
        ("PercentChangeInCapacity", 5.0, 13),
        ("PercentChangeInCapacity", 0.0, 11),
        ("PercentChangeInCapacity", -1.0, 9),
        ("ExactCapacity", 5.0, 30),
    ],
)
def test_a_step_is_chosen_by_the_distance_from_the_threshold(kind: str, breach: float, wanted: int) -> None:
    assert stepped({"AdjustmentType": kind, "StepAdjustments": STEPS}, 10, breach) == wanted


@pytest.mark.parametrize(("capacity", "least", "wanted"), [(3, 0, 4), (3, 2, 5), (100, 2, 110)])
def test_percent_changes_are_rounded_away_from_nothing_and_have_a_least_magnitude(
    capacity: int, least: int, wanted: int
) -> None:
    config: dict[str, Any] = {"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": least,
                              "StepAdjustments": [{"ScalingAdjustment": 10}]}  # fmt: skip
    assert stepped(config, capacity, 1.0) == wanted
