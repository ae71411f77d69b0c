"""Properties of recorded resources are checked at every depth, with CloudFormation's leniency for text."""

from __future__ import annotations

from typing import Any

import pytest

from laptop.ministack.recorded import RECORDED_TYPES
from laptop.ministack.resource_schema import check_properties, schema_of

TARGET: dict[str, Any] = {
    "MaxCapacity": 4,
    "MinCapacity": 1,
    "ResourceId": "endpoint/e/variant/main",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "ServiceNamespace": "sagemaker",
}
TYPE = "AWS::ApplicationAutoScaling::ScalableTarget"


@pytest.mark.parametrize("type_", RECORDED_TYPES)
def test_every_recorded_type_has_a_schema_and_refuses_an_unknown_property(type_: str) -> None:
    assert schema_of(type_)["typeName"] == type_
    with pytest.raises(ValueError, match="NoSuchProperty is unknown"):
        check_properties(type_, {"NoSuchProperty": 1})


def test_right_properties_pass_and_numbers_and_booleans_may_be_text() -> None:
    check_properties(TYPE, {**TARGET, "MaxCapacity": "4", "SuspendedState": {"ScheduledScalingSuspended": "true"}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"MaxCapacity": "many"}, "MaxCapacity must be integer, not string"),
        ({"MaxCapacity": 1.5}, "MaxCapacity must be integer, not number"),
        ({"MaxCapacity": True}, "MaxCapacity must be integer, not boolean"),
        ({"SuspendedState": {"ScheduledScalingSuspended": "perhaps"}}, "SuspendedState.ScheduledScalingSuspended"),
        ({"SuspendedState": {"Suspended": True}}, r"SuspendedState\.Suspended is unknown"),
        ({"ScheduledActions": [{"Schedule": "rate(1 day)"}]}, r"ScheduledActions\[0\]\.ScheduledActionName is missing"),
        ({"ScheduledActions": {}}, "ScheduledActions must be array, not object"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_properties(TYPE, {**TARGET, **change})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"MaxCapacity is missing.*Colour is unknown"):
        check_properties(TYPE, {**{key: TARGET[key] for key in TARGET if key != "MaxCapacity"}, "Colour": "red"})


def test_a_value_outside_of_its_enumeration_or_range_is_refused() -> None:
    alarm = "AWS::CloudWatch::AnomalyDetector"
    assert "properties" in schema_of(alarm)
    with pytest.raises(ValueError, match="must be one of"):
        check_properties("AWS::EC2::FlowLog", {"ResourceId": "vpc-1", "ResourceType": "Planet"})
