"""InvokeEndpoint: choose a variant, ask it, mirror to the shadow, capture, measure."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.hosting.backlog import Backlog
from laptop.sagemaker.hosting.capture import DataCapture, Exchange
from laptop.sagemaker.hosting.connections import ContainerAnswer
from laptop.sagemaker.hosting.fleet import Concurrency, Fleet, Member
from laptop.sagemaker.hosting.invocation import (
    COMPONENT,
    COMPONENT_MISSING,
    INFERENCE_ID,
    NO_CAPACITY,
    TARGET_VARIANT,
    Invocation,
    answered,
    check_answer,
    check_call,
    component_log_group,
    forwarded,
    invalid_call,
    log_group,
    model_error,
)
from laptop.sagemaker.hosting.metrics import EndpointMetrics, Place
from laptop.sagemaker.hosting.replicas import Replicas
from laptop.sagemaker.hosting.variant import RetiredError
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

MAX_SHADOWED: Final = 256
_MIRRORS: Final = 4


@dataclass(frozen=True)
class _Call:
    """One request on its way to one fleet."""

    endpoint: str
    fleet: Fleet
    headers: dict[str, str]
    body: bytes
    inference_id: str | None
    component: str | None = None

    @property
    def log_group(self) -> str:
        return component_log_group(self.component) if self.component else log_group(self.endpoint)


@dataclass(frozen=True)
class Shift:
    """A deployment under way: the new fleet, and its share of the requests."""

    fleet: Fleet
    share: float


@dataclass(frozen=True)
class Component:
    """An inference component in service: the copies of one model at a variant of an endpoint."""

    endpoint: str
    variant: str
    servers: Replicas
    model: Mapping[str, Any]


@dataclass
class Runtime:
    """Answers InvokeEndpoint for every endpoint in service."""

    settings: LaptopSettings
    surroundings: Surroundings
    fleets: dict[str, Fleet] = field(default_factory=dict)
    #: What else than its fleet answers an endpoint's requests while it is updated.
    shifts: dict[str, Shift] = field(default_factory=dict)
    components: dict[str, Component] = field(default_factory=dict)
    #: Endpoints that are in service but for a restart of the platform.
    returning: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random, self._random_lock = random.Random(self.settings.seed), threading.Lock()
        self.capture = DataCapture(self.surroundings, seed=self.settings.seed)
        self.metrics = EndpointMetrics(self.surroundings)
        self._shadows: Backlog[_Call] = Backlog(max_items=MAX_SHADOWED)
        for number in range(_MIRRORS):
            threading.Thread(target=self._mirror, name=f"shadow-{number}", daemon=True).start()

    def leave(self) -> None:
        """Take no more requests: the platform ends, and clients do well to try again."""
        self.returning |= self.fleets.keys()
        self.fleets.clear()
        self.shifts.clear()

    def serving(self) -> list[tuple[str, Fleet | Replicas]]:
        """Return all servers that get requests, with the name of their endpoint or inference component."""
        shifting = [(name, shift.fleet) for name, shift in list(self.shifts.items())]
        copies = [(name, component.servers) for name, component in list(self.components.items())]
        return [*list(self.fleets.items()), *shifting, *copies]

    def close(self) -> None:
        self._shadows.close()
        self.capture.close()
        self.metrics.close()

    def invoke(self, name: str, headers: Mapping[str, str], body: bytes) -> Invocation:
        """Ask an endpoint.

        Raises SageMakerError as the runtime API documents its errors.
        """
        started = time.perf_counter()
        while True:
            fleet = self._fleet(name)
            check_call(name, headers, body, serverless=fleet.limit is not None)
            component = headers.get(COMPONENT)
            call = _Call(name, fleet, forwarded(headers), body, headers.get(INFERENCE_ID), component)
            if component is None:
                member = self._choose(fleet, headers.get(TARGET_VARIANT))
            else:
                member = self._copies(call, component)
            self._offer_to_shadow(call)
            try:
                with _counted(fleet.limit):
                    answer = self._ask(call, member, started)
            except RetiredError:  # another fleet has taken over since this one was looked up: ask that
                continue
            return self._answer(call, member, answer)

    def _fleet(self, name: str) -> Fleet:
        shift = self.shifts.get(name)
        if shift is not None and self._draw() < shift.share:
            return shift.fleet
        fleet = self.fleets.get(name)
        if fleet is None and name in self.returning:
            raise SageMakerError("ServiceUnavailable", f"Endpoint {name} comes back with the platform", status=503)
        if fleet is None:
            raise invalid_call(f"Endpoint {name} of account {self.settings.account_id} not found.")
        return fleet

    def _copies(self, call: _Call, name: str) -> Member:
        """Return an inference component as the variant that its copies run at."""
        component = self.components.get(name)
        if component is None or component.endpoint != call.endpoint:
            raise invalid_call(f"Inference Component {name} not found at endpoint {call.endpoint}.")
        copies = len(component.servers.variants())
        if not copies:
            place = Place(call.endpoint, component.variant, call.fleet.plan["EndpointConfigName"], name)
            self.metrics.gauge(place, "NoCapacityInvocationFailures", 1.0)
            raise invalid_call(NO_CAPACITY)
        return Member(component.variant, component.servers, 1.0, copies)

    def _draw(self) -> float:
        with self._random_lock:
            return self._random.random()

    def _choose(self, fleet: Fleet, target: str | None) -> Member:
        production = fleet.production
        if not production:
            raise invalid_call(COMPONENT_MISSING)
        if target is not None:
            if target not in production:
                raise invalid_call(f"Variant {target} not found; the endpoint has {', '.join(production)}")
            return production[target]
        members = list(production.values())
        if len(members) == 1:
            return members[0]
        most = max(member.weight for member in members)
        # Retained weights of variants that left can leave only zeros; then all are alike.
        weights = [member.weight / most if most else 1.0 for member in members]
        with self._random_lock:
            return self._random.choices(members, weights)[0]

    def _ask(self, call: _Call, member: Member, started: float) -> ContainerAnswer:
        """Ask one variant, and measure."""
        asked = time.perf_counter()
        try:
            answer = member.servers.invoke(call.headers, call.body)
        except (OSError, http.client.HTTPException) as error:
            waited = int((time.perf_counter() - asked) * 1_000_000) if isinstance(error, TimeoutError) else None
            self._measure(call, member, status=0, model=waited, overhead=None)
            if isinstance(error, TimeoutError):
                message = "Your invocation timed out while waiting for a response from container primary."
                raise model_error(self.settings, call.log_group, 0, message) from error
            raise SageMakerError(
                "ServiceUnavailable", f"Variant {member.name} does not answer: {error}", status=503
            ) from error
        total = int((time.perf_counter() - started) * 1_000_000)
        overhead = max(0, total - answer.microseconds)
        self._measure(call, member, status=answer.status, model=answer.microseconds, overhead=overhead)
        return answer

    def _measure(self, call: _Call, member: Member, *, status: int, model: int | None, overhead: int | None) -> None:
        place = Place(call.endpoint, member.name, call.fleet.plan["EndpointConfigName"], call.component)
        self.metrics.record(place, instances=member.instances, status=status, model=model, overhead=overhead)
        limit = call.fleet.limit
        if limit is not None and (utilisation := limit.utilisation) is not None:
            self.metrics.gauge(place, "ServerlessProvisionedConcurrencyUtilization", utilisation)

    def _answer(self, call: _Call, member: Member, answer: ContainerAnswer) -> Invocation:
        self._captured(call, member, answer)
        group = call.log_group
        if not 200 <= answer.status < 300:
            raise model_error(self.settings, group, answer.status, answer.body.decode("utf-8", "replace"))
        refused = check_answer(answer, serverless=call.fleet.limit is not None)
        if refused:
            raise model_error(self.settings, group, answer.status, refused)
        return answered(answer, member.name)

    # Shadow and capture

    def _offer_to_shadow(self, call: _Call) -> None:
        shadow = call.fleet.shadow
        if shadow is None:
            return
        main = next(iter(call.fleet.production.values()))
        share = min(1.0, shadow.weight / main.weight) if main.weight else 0.0
        if self._draw() < share:  # a shadow that is too slow loses requests; callers must not wait for it
            self._shadows.offer(call, len(call.body))

    def _mirror(self) -> None:
        while (call := self._shadows.take()) is not None:
            assert call.fleet.shadow is not None
            try:
                answer = self._ask(call, call.fleet.shadow, time.perf_counter())
            except (SageMakerError, RetiredError):
                continue
            self._captured(call, call.fleet.shadow, answer)

    def _captured(self, call: _Call, member: Member, answer: ContainerAnswer) -> None:
        content_type = call.headers.get("Content-Type", "application/octet-stream")
        answer_type = answer.headers.get("content-type", "application/octet-stream")
        if call.component:  # endpoints with inference components capture nothing
            return
        role = next(iter(call.fleet.plan["Models"].values())).get("ExecutionRoleArn", "")
        exchange = Exchange(
            call.endpoint,
            member.name,
            call.inference_id,
            content_type,
            call.body,
            answer_type,
            answer.body,
            now(),
            role,
        )
        self.capture.add(call.fleet.plan.get("DataCaptureConfig"), exchange)


@contextmanager
def _counted(limit: Concurrency | None) -> Iterator[None]:
    """Hold a serverless endpoint's MaxConcurrency: more callers at once are throttled (Common Errors: 400)."""
    if limit and not limit.enter():
        raise SageMakerError("ThrottlingException", "Rate exceeded: MaxConcurrency is reached")
    try:
        yield
    finally:
        if limit:
            limit.leave()
