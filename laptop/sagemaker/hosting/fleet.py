"""A fleet: the server processes of one plan. A request is with one fleet, never between two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from laptop.sagemaker.hosting.component_rules import hosts_components
from laptop.sagemaker.hosting.invocation import log_group
from laptop.sagemaker.hosting.plan import Plan, instances, is_serverless, listed, weight
from laptop.sagemaker.hosting.replicas import Replicas
from laptop.sagemaker.hosting.variant import STARTUP_SECONDS, Variant
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

#: "/ping within 3 minutes including the model download" (Serverless Inference, invoking).
SERVERLESS_STARTUP_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Member:
    """One variant of a fleet, and how many processes it has: one an instance, or one a warm serverless copy."""

    name: str
    servers: Replicas
    weight: float
    instances: int


class Concurrency:
    """A serverless endpoint's MaxConcurrency, and how much of it is provisioned."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.change(config)
        self._now, self._lock = 0, threading.Lock()

    def change(self, config: Mapping[str, Any]) -> None:
        self.most, self._provisioned = int(config["MaxConcurrency"]), int(config.get("ProvisionedConcurrency", 0))

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

    @property
    def utilisation(self) -> float | None:
        """Return the requests in flight divided by the provisioned concurrency; None when there is none."""
        return self._now / self._provisioned if self._provisioned else None


class Fleet:
    """What an endpoint serves with."""

    def __init__(self, name: str, plan: Plan, settings: LaptopSettings, surroundings: Surroundings) -> None:
        """Take a plan; nothing runs before `start`."""
        serial = f"{time.time_ns():x}"
        self.plan, members = plan, []
        for item in listed(plan):
            if "ModelName" not in item:  # its instances wait for inference components
                continue
            make = _maker(name, item, plan, serial, settings, surroundings)
            members.append(_member(item, Replicas(make, instances(item))))
        count = 0 if hosts_components(plan) else len(plan["ProductionVariants"])
        self.production = {member.name: member for member in members[:count]}
        self.shadow = members[count] if len(members) > count else None
        self.limit: Concurrency | None = None
        if is_serverless(plan):
            self.limit = Concurrency(plan["ProductionVariants"][0]["ServerlessConfig"])

    def _members(self) -> list[Member]:
        return [*self.production.values(), *([self.shadow] if self.shadow else [])]

    def variants(self) -> list[Variant]:
        return [variant for member in self._members() for variant in member.servers.variants()]

    def start(self, cancelled: threading.Event) -> None:
        """Start every server, all at once, and wait until all answer.

        Raises VariantError for the first that does not; then none runs.
        """
        members = self._members()
        if not members:
            return
        with ThreadPoolExecutor(len(members)) as starter:
            starts = [starter.submit(member.servers.start, cancelled) for member in members]
        errors = [error for start in starts if (error := start.exception())]
        if errors:
            self.stop(drain_seconds=0)
            raise errors[0]

    def stop(self, *, drain_seconds: float | None = None) -> None:
        """Let the requests in flight end, then end the servers."""
        members = self._members()
        if not members:
            return
        with ThreadPoolExecutor(len(members)) as stopper:
            for member in members:
                stopper.submit(member.servers.stop, drain_seconds=drain_seconds)

    def apply(self, plan: Plan, cancelled: threading.Event) -> None:
        """Serve on with the weights, counts and concurrency of a changed plan of the same variants.

        Raises VariantError when a new server does not answer; then it serves on as before.
        """
        variants = {item["VariantName"]: item for item in plan["ProductionVariants"]}
        self.resize({name: instances(variants[name]) for name in self.production}, cancelled)
        self.plan = plan
        self.production = {name: _member(variants[name], member.servers) for name, member in self.production.items()}
        if self.limit:
            self.limit.change(plan["ProductionVariants"][0]["ServerlessConfig"])

    def resize(self, counts: Mapping[str, int], cancelled: threading.Event) -> None:
        """Have so many processes a production variant.

        Raises VariantError when a new server does not answer.
        """
        for name, count in counts.items():
            member = self.production[name]
            member.servers.resize(count, cancelled)
            self.production[name] = replace(member, instances=count)


def _maker(
    name: str, item: Mapping[str, Any], plan: Plan, serial: str, settings: LaptopSettings, surroundings: Surroundings
) -> Callable[[int], Variant]:
    """Return how a variant's processes are made; each has its folder and its log stream."""

    def make(number: int) -> Variant:
        own = f"{serial}{number:02d}"
        return Variant(
            plan["Models"][item["ModelName"]],
            folder=settings.sagemaker_home / "endpoints" / name / f"{item['VariantName']}-{own}",
            group=log_group(name),
            stream=f"{item['VariantName']}/i-{own}",
            settings=settings,
            surroundings=surroundings,
            startup_seconds=_startup_seconds(item),
        )

    return make


def _member(item: dict[str, Any], servers: Replicas) -> Member:
    return Member(item["VariantName"], servers, weight(item), instances(item))


def _startup_seconds(item: Mapping[str, Any]) -> float:
    if "ServerlessConfig" in item:
        return SERVERLESS_STARTUP_SECONDS
    return float(item.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS))
