"""How an endpoint's new fleet takes over: DeploymentConfig of UpdateEndpoint (deployment guardrails).

Developer guide, "Deployment guardrails": blue/green only for instance-based endpoints; the variant keeps its name; an
alarm that trips in any waiting period gives all traffic back to the old fleet. "Exclusions": rolling updates exclude
several variants, hence shadows; Marketplace containers and Inf1 fall back to all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from passerelle.domain.project.serving import START_SECONDS, Serving

Request = dict[str, Any]


def deployment_config(serving: Serving, alarm_names: Sequence[str], *, longest_wait_seconds: int) -> Request:
    """Return the DeploymentConfig of a real-time endpoint.

    Parameters
    ----------
    alarm_names : CloudWatch alarms that roll the update back.
    longest_wait_seconds : no wait is longer; environments that are for trying things out are in a hurry.
    """
    kind = serving.rollout_type
    wait = min(serving.rollout.wait_minutes * 60, longest_wait_seconds)
    size = {"Type": "CAPACITY_PERCENT", "Value": serving.rollout.percent}
    routing: Request = {
        "all-at-once": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "canary": {"Type": "CANARY", "WaitIntervalInSeconds": wait, "CanarySize": size},
        "linear": {"Type": "LINEAR", "WaitIntervalInSeconds": wait, "LinearStepSize": size},
    }[kind]
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": wait,
            "MaximumExecutionTimeoutInSeconds": serving.rollout.wait_seconds(kind) + START_SECONDS,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarm_names]},
    }


def keep_capacity(serving: Serving) -> Request:
    """Return what lets an update keep the number of instances that load has brought about.

    Else the new fleet would begin with the configuration's InitialInstanceCount (developer guide, "Update endpoints
    that use auto scaling"; API reference, UpdateEndpoint).
    """
    if serving.autoscaling is None:
        return {}
    kept = [{"VariantPropertyType": name} for name in ("DesiredWeight", "DataCaptureConfig")]
    return {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": kept}
