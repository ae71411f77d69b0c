"""How much capacity a policy asks for: pure arithmetic of target tracking and of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

#: Target tracking scales in below this share of its target, as its AlarmLow does, so that it does not swing.
LOW: Final = 0.9


def tracked(config: Mapping[str, Any], capacity: int, value: float) -> int:
    """Return what target tracking asks for by a metric that is one of the average instance or copy."""
    target = float(config["TargetValue"])
    wanted = math.ceil(round(capacity * value / target, 9))
    if value > target:
        return max(wanted, capacity + 1)
    if value < LOW * target and not config.get("DisableScaleIn", False):
        return min(wanted, capacity)
    return capacity


def stepped(config: Mapping[str, Any], capacity: int, breach: float) -> int:
    """Return what a step scaling policy asks for when its alarm's metric is so far from the threshold."""
    for step in config["StepAdjustments"]:
        lower = step.get("MetricIntervalLowerBound", -math.inf)
        upper = step.get("MetricIntervalUpperBound", math.inf)
        if lower <= breach < upper if breach >= 0 else lower < breach <= upper:
            return _adjusted(config, capacity, int(step["ScalingAdjustment"]))
    return capacity


def _adjusted(config: Mapping[str, Any], capacity: int, adjustment: int) -> int:
    kind = config["AdjustmentType"]
    if kind == "ExactCapacity":
        return adjustment
    if kind == "ChangeInCapacity":
        return capacity + adjustment
    # "Results between 0 and 1 are rounded to 1, between 0 and -1 to -1; larger ones down" (percent changes).
    change = capacity * adjustment / 100
    whole = math.trunc(change) if abs(change) >= 1 else math.copysign(1, change) if change else 0
    if change and abs(whole) < config.get("MinAdjustmentMagnitude", 0):
        whole = math.copysign(config["MinAdjustmentMagnitude"], change)
    return capacity + int(whole)
