"""Rules of Application Auto Scaling that botocore's model does not hold (its API reference, SageMaker's guide)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from laptop.sagemaker.errors import invalid
from laptop.sagemaker.scaling.capacity import COPIES, INSTANCES, PROVISIONED, Capacity, Resource

Request = Mapping[str, Any]
#: Predefined metric -> the dimension that it scales, the metric, its statistic. High-resolution metrics of concurrent
#: requests are not emitted by the laptop's endpoints.
PREDEFINED: Final[dict[str, tuple[str, str, str]]] = {
    "SageMakerVariantInvocationsPerInstance": (INSTANCES, "InvocationsPerInstance", "Sum"),
    "SageMakerVariantProvisionedConcurrencyUtilization": (
        PROVISIONED, "ServerlessProvisionedConcurrencyUtilization", "Maximum",
    ),
    "SageMakerInferenceComponentInvocationsPerCopy": (COPIES, "InvocationsPerCopy", "Sum"),
}  # fmt: skip
#: TargetTrackingScalingPolicyConfiguration: "values must be in the range of -2^360 to 2^360"; a target is positive.
MAX_TARGET: Final = 2.0**360


def check_target(target: Request, resource: Resource, capacity: Capacity) -> None:
    """Rules of RegisterScalableTarget, for what it makes of an old target and a request."""
    missing = [key for key in ("MinCapacity", "MaxCapacity") if key not in target]
    if missing:
        raise invalid(f"{' and '.join(missing)} must be given when a scalable target is registered")
    least, most = target["MinCapacity"], target["MaxCapacity"]
    if least < resource.least:
        raise invalid(f"Minimum capacity must be at least {resource.least} for {resource.dimension}, not {least}")
    if most < least or most < 1:
        raise invalid(f"Maximum capacity cannot be less than minimum capacity: {most} and {least}")
    if resource.dimension == INSTANCES and capacity.instance_type.startswith("ml.t"):
        raise invalid(f"Automatic scaling is not supported for burstable instances such as {capacity.instance_type}")


def check_policy(policy: Request, resource: Resource) -> None:
    """Rules of PutScalingPolicy."""
    kinds = {
        "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
        "StepScaling": "StepScalingPolicyConfiguration",
    }
    kind = policy.get("PolicyType")
    if kind not in kinds:
        raise invalid(f"PolicyType must be one of {', '.join(kinds)}, not {kind}")
    given = [key for key in kinds.values() if key in policy]
    if given != [kinds[kind]]:
        raise invalid(f"A policy of type {kind} must have a {kinds[kind]}, and no other configuration")
    if kind == "TargetTrackingScaling":
        _check_tracking(policy[kinds[kind]], resource)
    else:
        _check_steps(policy[kinds[kind]])


def _check_tracking(config: Request, resource: Resource) -> None:
    metrics = [key for key in ("PredefinedMetricSpecification", "CustomizedMetricSpecification") if key in config]
    if len(metrics) != 1:
        raise invalid("Either PredefinedMetricSpecification or CustomizedMetricSpecification must be given")
    if not 0 < config["TargetValue"] <= MAX_TARGET:
        raise invalid(f"TargetValue must be greater than 0, not {config['TargetValue']:g}")
    for key in ("ScaleInCooldown", "ScaleOutCooldown"):
        if config.get(key, 0) < 0:
            raise invalid(f"{key} must not be negative")
    if "CustomizedMetricSpecification" in config:
        custom = config["CustomizedMetricSpecification"]
        if "Metrics" in custom:
            raise invalid("Metric math in a CustomizedMetricSpecification is not offered by the laptop")
        missing = [key for key in ("MetricName", "Namespace", "Statistic") if key not in custom]
        if missing:
            raise invalid(f"CustomizedMetricSpecification must have {', '.join(missing)}")
        return
    kind = config["PredefinedMetricSpecification"]["PredefinedMetricType"]
    if kind not in PREDEFINED or PREDEFINED[kind][0] != resource.dimension:
        fit = [name for name, (dimension, *_) in PREDEFINED.items() if dimension == resource.dimension]
        raise invalid(f"{kind} does not scale {resource.dimension}; the laptop offers {', '.join(fit)}")


def _check_steps(config: Request) -> None:
    steps: Sequence[Request] = config.get("StepAdjustments", ())
    if "AdjustmentType" not in config or not steps:
        raise invalid("StepScalingPolicyConfiguration must have an AdjustmentType and StepAdjustments")
    if config.get("Cooldown", 0) < 0:
        raise invalid("Cooldown must not be negative")
    bounds = sorted((_bound(step, "Lower", -1), _bound(step, "Upper", 1)) for step in steps)
    for lower, upper in bounds:
        if lower >= upper:
            raise invalid("A step adjustment's lower bound must be less than its upper bound")
    for (_, upper), (lower, _) in pairwise(bounds):
        if upper != lower:
            raise invalid("Step adjustment intervals must neither overlap nor leave a gap")


def _bound(step: Request, side: str, sign: int) -> float:
    return float(step.get(f"MetricInterval{side}Bound", sign * float("inf")))
