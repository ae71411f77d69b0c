"""A fleet: the server processes of one plan. An endpoint's callers see one fleet or the next, never between."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.hosting.plan import Plan, is_serverless, listed, weight
from laptop.sagemaker.hosting.variant import STARTUP_SECONDS, Variant
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

#: "/ping within 3 minutes including the model download" (Serverless Inference, invoking).
SERVERLESS_STARTUP_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Member:
    """One variant of a fleet; one process, whatever its instance count."""

    name: str
    variant: Variant
    weight: float
    instances: int


class Concurrency:
    """A serverless endpoint's MaxConcurrency."""

    def __init__(self, most: int) -> None:
        self.most, self._now, self._lock = most, 0, threading.Lock()

    def enter(self) -> bool:
        """Count a request in, if there is room for one more."""
        with self._lock:
            if self._now >= self.most:
                return False
            self._now += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


class Fleet:
    """What an endpoint serves with."""

    def __init__(self, name: str, plan: Plan, settings: LaptopSettings, surroundings: Surroundings) -> None:
        """Take a plan; nothing runs before `start`."""
        serial = f"{time.time_ns():x}"
        self.plan, members = plan, []
        for item in listed(plan):
            variant = Variant(
                plan["Models"][item["ModelName"]],
                folder=settings.sagemaker_home / "endpoints" / name / f"{item['VariantName']}-{serial}",
                group=f"/aws/sagemaker/Endpoints/{name}",
                stream=f"{item['VariantName']}/i-{serial}",
                settings=settings,
                surroundings=surroundings,
                startup_seconds=_startup_seconds(item),
            )
            members.append(_member(item, variant))
        count = len(plan["ProductionVariants"])
        self.production = {member.name: member for member in members[:count]}
        self.shadow = members[count] if len(members) > count else None
        self.limit: Concurrency | None = None
        if is_serverless(plan):
            self.limit = Concurrency(plan["ProductionVariants"][0]["ServerlessConfig"]["MaxConcurrency"])

    def variants(self) -> list[Variant]:
        members = [*self.production.values(), *([self.shadow] if self.shadow else [])]
        return [member.variant for member in members]

    def start(self, cancelled: threading.Event) -> None:
        """Start every server, all at once, and wait until all answer.

        Raises VariantError for the first that does not; then none runs.
        """
        variants = self.variants()
        with ThreadPoolExecutor(len(variants)) as starter:
            starts = [starter.submit(variant.start, cancelled) for variant in variants]
        errors = [error for start in starts if (error := start.exception())]
        if errors:
            self.stop(drain_seconds=0)
            raise errors[0]

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Let the requests in flight end, then end the servers."""
        variants = self.variants()
        with ThreadPoolExecutor(len(variants)) as stopper:
            for variant in variants:
                stopper.submit(variant.stop, drain_seconds=drain_seconds)

    def apply(self, plan: Plan) -> None:
        """Serve on with the weights, counts and concurrency of a changed plan of the same variants."""
        self.plan = plan
        variants = {item["VariantName"]: item for item in plan["ProductionVariants"]}
        self.production = {name: _member(variants[name], member.variant) for name, member in self.production.items()}
        if self.limit:
            self.limit.most = plan["ProductionVariants"][0]["ServerlessConfig"]["MaxConcurrency"]


def _member(item: dict[str, Any], variant: Variant) -> Member:
    return Member(item["VariantName"], variant, weight(item), int(item.get("InitialInstanceCount", 1)))


def _startup_seconds(item: dict[str, Any]) -> float:
    if "ServerlessConfig" in item:
        return SERVERLESS_STARTUP_SECONDS
    return float(item.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS))
