"""What Application Auto Scaling refuses to scale, and how."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import config, model, refusal, serve
from tests.contract.sagemaker_scaling import PROVISIONED, VARIANT, register, scale, served, stepping, tracking
from tests.contract.sagemaker_service import Own, own

__all__ = ["own", "served"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"MinCapacity": 4}, "cannot be less than minimum"),
        ({"MinCapacity": 0}, "at least 1"),
        ({"ResourceId": "endpoint/e"}, "Unsupported service namespace"),
        ({"ResourceId": "endpoint/e/variant/nobody"}, "Could not find production variant nobody"),
        ({"ResourceId": "endpoint/nobody/variant/main"}, "Could not find endpoint"),
        ({"ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}, "Unsupported service namespace"),
        ({"ScalableDimension": PROVISIONED["ScalableDimension"]}, "has no ProvisionedConcurrency"),
        ({"ScalableDimension": "sagemaker:variant:Nothing"}, "enum value set"),
        ({"ServiceNamespace": "ecs"}, "sagemaker alone"),
        ({"MaxCapacity": None}, "MaxCapacity must be given"),
    ],
)
def test_what_cannot_be_registered_is_refused(served: Own, changes: dict[str, Any], says: str) -> None:
    error = refusal(lambda: register(served, **changes))
    assert (error.code, says in error.message) == ("ValidationException", True), error.message


BOUNDS: Final = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (tracking(target=0.0), "greater than 0"),
        (tracking(kind="SageMakerVariantProvisionedConcurrencyUtilization"), "does not scale"),
        (tracking(CustomizedMetricSpecification={"MetricName": "m"}), "Either"),
        (tracking(ScaleInCooldown=-1), "must not be negative"),
        (stepping(), "StepAdjustments"),
        (stepping(BOUNDS, BOUNDS), "neither overlap nor leave a gap"),
        (stepping(BOUNDS | {"MetricIntervalUpperBound": 0}), "less than its upper bound"),
        ({"PolicyName": "p"}, "PolicyType"),
        (tracking() | {"PolicyType": "StepScaling"}, "StepScalingPolicyConfiguration"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(served: Own, policy: dict[str, Any], says: str) -> None:
    register(served)
    error = refusal(lambda: scale(served, "PutScalingPolicy", **VARIANT, **policy))
    assert (error.code, says in error.message) == ("ValidationException", True), error.message


def test_a_policy_needs_a_registered_target(served: Own) -> None:
    error = refusal(lambda: scale(served, "PutScalingPolicy", **VARIANT, **tracking()))
    assert error.code == "ObjectNotFoundException"


def test_burstable_instances_are_not_scaled(own: Own) -> None:
    model(own, "one")
    config(own, "c", make.variant("main", ModelName="one", InstanceType="ml.t2.medium"))
    serve(own, "c")
    assert "burstable" in refusal(lambda: register(own)).message
