"""Scalable targets and policies, and the endpoint that they are tried on."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import config, model, serve
from tests.contract.sagemaker_service import Own

INSTANCES: Final = "sagemaker:variant:DesiredInstanceCount"
VARIANT: Final = {
    "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/e/variant/main", "ScalableDimension": INSTANCES,
}  # fmt: skip
PROVISIONED: Final = VARIANT | {"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"}
INVOCATIONS: Final = "SageMakerVariantInvocationsPerInstance"


def tracking(target: float = 10.0, kind: str = INVOCATIONS, **rest: Any) -> dict[str, Any]:
    config = {"TargetValue": target, "PredefinedMetricSpecification": {"PredefinedMetricType": kind},
              "ScaleOutCooldown": 0, "ScaleInCooldown": 0, **rest}  # fmt: skip
    return {
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": config,
    }


def stepping(*steps: dict[str, Any], kind: str = "ChangeInCapacity", **rest: Any) -> dict[str, Any]:
    config = {"AdjustmentType": kind, "StepAdjustments": list(steps), "Cooldown": 0, **rest}
    return {"PolicyName": "p", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": config}


@pytest.fixture
def served(own: Own) -> Own:
    model(own, "one")
    for name in ("c", "c2"):
        config(own, name, make.variant("main", ModelName="one"))
    serve(own, "c")
    return own


def scale(own: Own, operation: str, **request: Any) -> dict[str, Any]:
    return own.sagemaker.scaling.call(operation, request)


def register(own: Own, least: int = 1, most: int = 3, **rest: Any) -> str:
    answer = scale(own, "RegisterScalableTarget", **{**VARIANT, "MinCapacity": least, "MaxCapacity": most, **rest})
    return str(answer["ScalableTargetARN"])
