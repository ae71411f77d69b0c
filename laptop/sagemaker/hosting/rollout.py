"""Move an endpoint's requests from one fleet to the next, step by step, and back when an alarm goes off."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from laptop.sagemaker.hosting.fleet import Fleet
from laptop.sagemaker.hosting.guardrails import alarms, batches, execution_seconds, rollback_size, steps
from laptop.sagemaker.hosting.plan import Plan, instances
from laptop.sagemaker.hosting.runtime import Runtime, Shift
from laptop.sagemaker.hosting.variant import VariantError
from laptop.surroundings import Surroundings

#: How often alarms are looked at while a deployment waits.
ALARM_SECONDS: Final = 0.2


class RolledBackError(Exception):
    """The old fleet shall serve again; the text becomes FailureReason."""


class Rollout:
    """One deployment of one endpoint, on the calling thread. The old fleet runs until all is well."""

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any] | None,
        plan: Plan,
        *,
        runtime: Runtime,
        surroundings: Surroundings,
        cancelled: threading.Event,
    ) -> None:
        self._name, self._config, self._plan = name, config, plan
        self._runtime, self._surroundings, self._cancelled = runtime, surroundings, cancelled
        self._steps = steps(config, plan)
        self._deadline = time.monotonic() + execution_seconds(config)

    @property
    def rolling(self) -> bool:
        return "RollingUpdatePolicy" in (self._config or {})

    def first_plan(self, done: int) -> Plan:
        """Return the plan that the new fleet starts with: of a rolling update only what has its turn."""
        return self._scaled(self._plan, self._steps[min(done, len(self._steps) - 1)].share) if self.rolling else (
            self._plan
        )  # fmt: skip

    def check(self) -> None:
        """Raise RolledBackError for an alarm that is in ALARM, or when the deployment has taken too long."""
        names = alarms(self._config)
        if names:
            states = self._surroundings.alarm_states(names)
            ringing = [name for name in names if states.get(name) == "ALARM"]
            if ringing:
                raise RolledBackError(f"One or more configured alarms are in ALARM state: {', '.join(ringing)}")
        if time.monotonic() > self._deadline:
            raise RolledBackError("The deployment exceeded MaximumExecutionTimeoutInSeconds")

    def shift(self, old: Fleet, new: Fleet, done: int, note: Callable[[int, str], None]) -> None:
        """Take the steps that are left.

        Raises RolledBackError, and VariantError when a batch of a rolling update does not come up.
        """
        last = len(self._steps) - 1
        for number, step in enumerate(self._steps[done:], start=done):
            if self.rolling:
                new.resize(self._counts(self._plan, step.share), self._cancelled)
            note(number, "ActivatingTraffic")
            self._runtime.shifts[self._name] = Shift(new, step.share)
            if number == last and step.seconds:
                note(number, "Baking")
            self._wait(step.seconds)
            if self._cancelled.is_set():
                return
            if self.rolling and number < last:
                old.resize(self._counts(old.plan, 1 - step.share), self._cancelled)

    def back(self, old: Fleet, new: Fleet) -> None:
        """Give the old fleet its requests back; it lost instances only in a rolling update, which it gets again."""
        if self.rolling:
            least = min(instances(variant) for variant in old.plan["ProductionVariants"])
            for share in batches(rollback_size(self._config or {}), least):
                try:
                    old.resize(self._counts(old.plan, share, least=old), self._cancelled)
                except VariantError:  # what still runs serves on, and the watch takes care of it
                    break
                shift = self._runtime.shifts.get(self._name)
                if shift is not None and share < 1:
                    self._runtime.shifts[self._name] = Shift(new, min(shift.share, 1 - share))
        self._runtime.shifts.pop(self._name, None)

    def _wait(self, seconds: float) -> None:
        """Watch the alarms for so long; at least once, however short the wait."""
        until = time.monotonic() + seconds
        while not self._cancelled.is_set():
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            self._cancelled.wait(min(left, ALARM_SECONDS))

    def _scaled(self, plan: Plan, share: float) -> Plan:
        counts = self._counts(plan, share)
        variants = [item | {"InitialInstanceCount": counts[item["VariantName"]]} for item in plan["ProductionVariants"]]
        return plan | {"ProductionVariants": variants}

    @staticmethod
    def _counts(plan: Plan, share: float, *, least: Fleet | None = None) -> dict[str, int]:
        """Return a share of each variant's instances, whole ones and at least one; never fewer than `least` has."""
        counts = {}
        for item in plan["ProductionVariants"]:
            name, all_of_it = item["VariantName"], instances(item)
            running = least.production[name].instances if least else 1
            counts[name] = min(all_of_it, max(running, math.ceil(share * all_of_it - 1e-9)))
        return counts
