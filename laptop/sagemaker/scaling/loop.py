"""Look at every scalable target, and change its capacity as its policies say.

On AWS a target tracking policy waits for three bad minutes to scale out and for fifteen to scale in; here the last
minute decides, so that scaling can be seen. Bounds, cool-downs, suspension, rounding and what missing data does (an
endpoint without requests emits no metrics, and is not scaled in) are AWS's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.scaling.capacity import COPIES, Call, Resource
from laptop.sagemaker.scaling.decide import stepped, tracked
from laptop.sagemaker.scaling.rules import PREDEFINED
from laptop.sagemaker.scaling.service import Scaling
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
#: The length of a datapoint of target tracking.
PERIOD_SECONDS: Final = 60.0
#: "Define cooldown periods": SageMaker's default for variants, both ways; step scaling's is the same.
COOLDOWN_SECONDS: Final = 300


@dataclass(frozen=True)
class _Wish:
    """The capacity that a policy asks for, and why."""

    capacity: int
    cause: str
    policy: Mapping[str, Any]


class ScalingLoop:
    """Runs until `close`."""

    def __init__(self, scaling: Scaling, sagemaker: Call, surroundings: Surroundings) -> None:
        self._scaling, self._sagemaker, self._surroundings = scaling, sagemaker, surroundings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scaling", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for target in self._scaling.targets():
                try:
                    self._look(target)
                except SageMakerError as error:  # changed or deleted just now
                    LOG.info("%s is not scaled: %s", target["ResourceId"], error.message)
                except Exception:
                    LOG.exception("the scaling of others goes on")

    def _look(self, target: Mapping[str, Any]) -> None:
        resource = Resource.parse(target["ResourceId"], target["ScalableDimension"])
        capacity = resource.read(self._sagemaker)
        if not capacity.settled:
            return
        least, most = target["MinCapacity"], target["MaxCapacity"]
        if not least <= capacity.now <= most:
            wanted = min(max(capacity.now, least), most)
            if not _suspended(target, "out" if wanted > capacity.now else "in"):
                self._set(target, resource, wanted, f"capacity {capacity.now} was outside of {least} to {most}")
            return
        wishes = [wish for policy in self._scaling.policies(target)
                  if (wish := self._wish(policy, resource, capacity.now)) is not None]  # fmt: skip
        if not wishes:
            return
        # "Provides the largest capacity for both scale out and scale in", so that no policy starves another's load.
        wish = max(wishes, key=lambda found: found.capacity)
        wanted = min(max(wish.capacity, least), most)
        direction = "out" if wanted > capacity.now else "in"
        if wanted == capacity.now or _suspended(target, direction) or _cooling(wish.policy, direction):
            return
        self._set(target, resource, wanted, wish.cause)
        self._scaling.acted(wish.policy, direction)

    def _wish(self, policy: Mapping[str, Any], resource: Resource, capacity: int) -> _Wish | None:
        """Return what a policy asks for; None when it has nothing to say."""
        if policy["PolicyType"] == "StepScaling":
            breach = self._surroundings.alarm_breach(policy["PolicyARN"])
            if breach is None:
                return None
            wanted = stepped(policy["StepScalingPolicyConfiguration"], capacity, breach)
            return _Wish(wanted, f"an alarm of policy {policy['PolicyName']} is in ALARM state", policy)
        config = policy["TargetTrackingScalingPolicyConfiguration"]
        value = self._value(config, resource)
        if value is None:
            return None
        cause = f"the metric of policy {policy['PolicyName']} is {value:g}, its target {config['TargetValue']:g}"
        return _Wish(tracked(config, capacity, value), cause, policy)

    def _value(self, config: Mapping[str, Any], resource: Resource) -> float | None:
        """Return the last minute's value of a policy's metric, None when there is none.

        A customized metric must be proportional to the number of instances, too (API reference).
        """
        custom = config.get("CustomizedMetricSpecification")
        if custom:
            dimensions = {item["Name"]: item["Value"] for item in custom.get("Dimensions", ())}
            place = (custom["Namespace"], custom["MetricName"], dimensions, custom["Statistic"])
        else:
            _, name, statistic = PREDEFINED[config["PredefinedMetricSpecification"]["PredefinedMetricType"]]
            place = ("AWS/SageMaker", name, resource.dimensions, statistic)
        value = self._surroundings.metric(*place, PERIOD_SECONDS)
        # Copies scale in to zero when nobody asks them; instances stay as they are without data.
        return 0.0 if value is None and resource.dimension == COPIES else value

    def _set(self, target: Mapping[str, Any], resource: Resource, capacity: int, cause: str) -> None:
        what = resource.dimension.rpartition(":Desired")[2]
        description = f"Setting desired {what} to {capacity}."
        try:
            resource.write(self._sagemaker, capacity)
        except SageMakerError as error:
            failed = {"StatusCode": "Failed", "StatusMessage": f"{description} Failed: {error.message}"}
            self._scaling.note(target, cause, description, **failed)
            return
        self._scaling.note(target, cause, description, StatusMessage=f"Successfully set desired {what} to {capacity}.")


def _suspended(target: Mapping[str, Any], direction: str) -> bool:
    return bool(target["SuspendedState"].get(f"DynamicScaling{direction.title()}Suspended", False))


def _cooling(policy: Mapping[str, Any], direction: str) -> bool:
    """Scaling out waits for an earlier scale-out alone; scaling in waits for both, so that nothing swings."""
    if policy["PolicyType"] == "StepScaling":
        out = into = policy["StepScalingPolicyConfiguration"].get("Cooldown", COOLDOWN_SECONDS)
    else:
        config = policy["TargetTrackingScalingPolicyConfiguration"]
        out = config.get("ScaleOutCooldown", COOLDOWN_SECONDS)
        into = config.get("ScaleInCooldown", COOLDOWN_SECONDS)
    if _since(policy, "_out") < out:
        return True
    # A policy that was made just now has not seen an idle time yet.
    return direction == "in" and _since(policy, "_in" if "_in" in policy else "CreationTime") < into


def _since(policy: Mapping[str, Any], key: str) -> float:
    return float((now() - policy[key]).total_seconds()) if key in policy else float("inf")
