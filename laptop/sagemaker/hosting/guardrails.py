"""DeploymentConfig: what it may say, and the steps that it asks for ("Deployment guardrails", developer guide)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.errors import invalid
from laptop.sagemaker.hosting.component_rules import hosts_components
from laptop.sagemaker.hosting.plan import Plan, instances, is_serverless

Config = Mapping[str, Any]
#: (least, most) percent of the variant's instances, by member (API reference).
_PERCENT: Final = {
    "CanarySize": (1, 50),
    "LinearStepSize": (10, 50),
    "MaximumBatchSize": (5, 50),
    "RollbackMaximumBatchSize": (1, 100),
}


@dataclass(frozen=True)
class Step:
    """Give the new fleet this share of the requests, and watch the alarms for so many seconds."""

    share: float
    seconds: float


def check_deployment(config: Config | None, new: Plan, old: Plan | None) -> None:
    """Rules of DeploymentConfig ("Exclusions", API reference); `old` is None when an endpoint is created."""
    if config is None:
        return
    if is_serverless(new):
        raise invalid("DeploymentConfig is not supported for serverless endpoints")
    if hosts_components(new):
        raise invalid("A DeploymentConfig of an endpoint with inference components is not offered by the laptop: "
                      "update the components")  # fmt: skip
    names = _names(new)
    if old is not None and names != _names(old):
        raise invalid(
            "With a DeploymentConfig the new endpoint configuration must have the same variant names as the old one: "
            f"{', '.join(names)} instead of {', '.join(_names(old))}"
        )
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise invalid("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy may be given in a DeploymentConfig")
    if rolling and len(names) > 1:
        raise invalid("RollingUpdatePolicy is not supported for endpoints with several variants")
    least = min(instances(variant) for variant in new["ProductionVariants"])
    if blue_green:
        _check_routing(blue_green["TrafficRoutingConfiguration"], least)
    if rolling:
        _check_size(rolling, "MaximumBatchSize", least)
        _check_size(rolling, "RollbackMaximumBatchSize", least)
    _check_times(config)


def _names(plan: Plan) -> list[str]:
    return sorted(variant["VariantName"] for variant in plan["ProductionVariants"])


def _check_routing(routing: Config, least: int) -> None:
    for kind, key in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if routing["Type"] == kind and key not in routing:
            raise invalid(f"{key} must be given for traffic routing of type {kind}")
        _check_size(routing, key, least)


def _check_size(policy: Config, key: str, instances: int) -> None:
    """A size in instances is held to the same percentages, but a batch of a rolling update may always be one."""
    size, (least, most) = policy.get(key), _PERCENT[key]
    if size is None:
        return
    if size["Type"] == "CAPACITY_PERCENT":
        if not least <= size["Value"] <= most:
            raise invalid(f"{key} must be from {least} to {most} percent, not {size['Value']}")
    elif size["Value"] > (max(1, instances * most // 100) if key.endswith("BatchSize") else instances * most / 100):
        raise invalid(f"{key} of {size['Value']} instances is more than {most} percent of the variant's {instances}")


def _policy(config: Config) -> Config:
    policy: Config = config.get("BlueGreenUpdatePolicy") or config.get("RollingUpdatePolicy") or {}
    return policy


def _check_times(config: Config) -> None:
    policy = _policy(config)
    longest = policy.get("MaximumExecutionTimeoutInSeconds")
    routing = policy.get("TrafficRoutingConfiguration", policy)
    waits = policy.get("TerminationWaitInSeconds", 0) + routing.get("WaitIntervalInSeconds", 0)
    if longest is not None and longest <= waits:
        raise invalid(
            "MaximumExecutionTimeoutInSeconds must be larger than the total waiting time specified in "
            f"TerminationWaitInSeconds and WaitIntervalInSeconds, {waits} seconds"
        )


def alarms(config: Config | None) -> list[str]:
    """Return the names of the alarms that roll a deployment back."""
    listed: Sequence[Config] = (config or {}).get("AutoRollbackConfiguration", {}).get("Alarms", ())
    return [item["AlarmName"] for item in listed]


def check_alarms(config: Config | None, known: Collection[str]) -> None:
    """An alarm that does not exist could never roll anything back, so it is refused rather than forgotten."""
    missing = [name for name in alarms(config) if name not in known]
    if missing:
        raise invalid(f"Could not find the CloudWatch alarm {', '.join(missing)} of AutoRollbackConfiguration")


def steps(config: Config | None, plan: Plan) -> list[Step]:
    """Return the steps of a deployment; the last has all requests, and its wait is the final baking period."""
    config = config or {}
    least = min(instances(variant) for variant in plan["ProductionVariants"])
    if "RollingUpdatePolicy" in config:
        policy = config["RollingUpdatePolicy"]
        wait = float(policy["WaitIntervalInSeconds"])
        return [Step(share, wait) for share in batches(policy["MaximumBatchSize"], least)]
    policy = config.get("BlueGreenUpdatePolicy", {})
    bake = Step(1.0, float(policy.get("TerminationWaitInSeconds", 0)))
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    wait = float(routing.get("WaitIntervalInSeconds", 0))
    if routing["Type"] == "CANARY":
        return [Step(_share(routing["CanarySize"], least), wait), bake]
    if routing["Type"] == "LINEAR":
        size = _share(routing["LinearStepSize"], least)
        return [*(Step(size * number, wait) for number in range(1, math.ceil(1 / size - 1e-9))), bake]
    return [bake]


def _share(size: Config, instances: int) -> float:
    """A percentage is a share of the requests; so many instances are their part of the fleet."""
    return float(size["Value"]) / (100 if size["Type"] == "CAPACITY_PERCENT" else instances)


def batches(size: Config, instances: int) -> list[float]:
    """Return the shares after each batch of a rolling update: whole instances, never fewer than one."""
    batch = max(1, math.floor(_share(size, instances) * instances + 1e-9))
    return [min(1.0, number * batch / instances) for number in range(1, math.ceil(instances / batch) + 1)]


def rollback_size(config: Config) -> Config:
    """RollbackMaximumBatchSize: "if this field is absent, the default value will be set to 100%"."""
    size: Config = config["RollingUpdatePolicy"].get(
        "RollbackMaximumBatchSize", {"Type": "CAPACITY_PERCENT", "Value": 100}
    )
    return size


def execution_seconds(config: Config | None) -> float:
    """MaximumExecutionTimeoutInSeconds, or for ever."""
    return float(_policy(config or {}).get("MaximumExecutionTimeoutInSeconds", math.inf))
