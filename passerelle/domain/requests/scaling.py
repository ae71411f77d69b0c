"""Application Auto Scaling of an endpoint: instances by requests, or warm serverless environments by their use.

Developer guide, "Auto scaling policies" and "Automatically scale Provisioned Concurrency for a serverless endpoint".
A target is deregistered while its variant changes, which deletes its policies ("Update endpoints that use auto
scaling": else an update to another instance type fails), and registered again after.
"""

from __future__ import annotations

from typing import Any, Final

from passerelle.domain.project.serving import Serving
from passerelle.domain.requests.components import copies_target

Request = dict[str, Any]
_INSTANCES: Final = ("sagemaker:variant:DesiredInstanceCount", "SageMakerVariantInvocationsPerInstance")
_WARM: Final = ("sagemaker:variant:DesiredProvisionedConcurrency", "SageMakerVariantProvisionedConcurrencyUtilization")
_PER_COPY: Final = "SageMakerInferenceComponentInvocationsPerCopy"
_UTILIZATION_PERCENT: Final = 70


def pause_scaling(endpoint: str, variant: str, *, serverless: bool) -> Request:
    """Return DeregisterScalableTarget for what serves now."""
    return _target(endpoint, variant, _WARM[0] if serverless else _INSTANCES[0])


def scaling(
    endpoint: str, variant: str, serving: Serving, *, component: str | None = None
) -> tuple[Request, Request] | None:
    """Return RegisterScalableTarget and PutScalingPolicy, None for a fixed size."""
    bounds = serving.autoscaling
    if bounds is None:
        return None
    serverless = serving.profile == "serverless"
    dimension, metric = _WARM if serverless else _INSTANCES
    target = _target(endpoint, variant, dimension)
    if component:
        target, metric = copies_target(component), _PER_COPY
    aim = (bounds.utilization_percent or _UTILIZATION_PERCENT) / 100 if serverless else bounds.invocations_per_minute
    policy = target | {
        "PolicyName": f"{endpoint}-{variant}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(aim or 0),
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": bounds.scale_in_seconds,
            "ScaleOutCooldown": bounds.scale_out_seconds,
        },
    }
    return target | {"MinCapacity": bounds.min, "MaxCapacity": bounds.max}, policy


def _target(endpoint: str, variant: str, dimension: str) -> Request:
    resource = f"endpoint/{endpoint}/variant/{variant}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}
