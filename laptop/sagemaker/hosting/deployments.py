"""Bring endpoints to what their documents say, in the background: fleets come up, take over in one step, go down."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from laptop.sagemaker.hosting.fleet import Fleet
from laptop.sagemaker.hosting.plan import Plan, make_plan
from laptop.sagemaker.hosting.records import AT_WORK, KIND, Records
from laptop.sagemaker.hosting.rollout import RolledBackError, Rollout
from laptop.sagemaker.hosting.runtime import Runtime
from laptop.sagemaker.hosting.variant import VariantError
from laptop.sagemaker.hosting.watcher import Watcher
from laptop.sagemaker.store import Document, Store
from laptop.sagemaker.tags import Tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
#: What the platform's end leaves to requests in flight.
CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class _Task:
    """One deployment under way."""

    cancelled: threading.Event
    future: Future[None]


class Deployments:
    """Carries out what an endpoint's document asks for."""

    def __init__(
        self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags, runtime: Runtime
    ) -> None:
        self._settings, self._surroundings, self._store = settings, surroundings, store
        self._tags, self._runtime, self.records = tags, runtime, Records(store, surroundings)
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._tasks: dict[str, list[_Task]] = {}
        #: Every fleet that may have processes: in service, on its way, or answering its last requests.
        self._alive: set[Fleet] = set()
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="sagemaker-endpoint")
        self._watcher = Watcher(runtime.serving)
        self._recover()

    def _recover(self) -> None:
        """After a restart nothing is in service before its servers answer again, and nobody may think so.

        Servers end with the platform, however it ends; what a killed one could not clear away is of no use.
        """
        for left in (self._settings.sagemaker_home / "endpoints").glob("*/*/opt"):
            shutil.rmtree(left, ignore_errors=True)
        for document in self._store.all(KIND):
            if document["EndpointStatus"] in ("InService", *AT_WORK):
                if document["EndpointStatus"] != "Creating":
                    self._runtime.returning.add(document["EndpointName"])
                self.records.recover(document["EndpointName"])

    def start(self) -> None:
        """Bring back every endpoint that was in service or on its way, and finish deletions."""
        for document in self._store.all(KIND):
            if document["EndpointStatus"] == "Deleting":
                self.take_down(document["EndpointName"])
            elif document["EndpointStatus"] in AT_WORK:
                if document["EndpointStatus"] == "SystemUpdating":
                    self.records.emit(document)
                self.launch(document)

    def close(self) -> None:
        """End every process; what was under way goes on after the next start."""
        self._closing.set()
        with self._lock:
            for tasks in self._tasks.values():
                for task in tasks:
                    task.cancelled.set()
            fleets = list(self._alive)
        self._runtime.leave()
        self._watcher.close()
        with ThreadPoolExecutor(8) as stopper:
            for fleet in fleets:
                stopper.submit(fleet.stop, drain_seconds=CLOSE_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def launch(self, document: Document) -> None:
        """Begin what a document asks for, unless a later request has overtaken it."""
        name = document["EndpointName"]
        with self._lock:
            if self._closing.is_set() or not self.records.current(name, document["_deployment"]):
                return
            cancelled = threading.Event()
            future = self._pool.submit(_logged, self._deploy, name, document["_deployment"], cancelled)
            unfinished = [task for task in self._tasks.get(name, ()) if not task.future.done()]
            self._tasks[name] = [*unfinished, _Task(cancelled, future)]

    def take_down(self, name: str) -> None:
        """End an endpoint whose document says Deleting; its name is free when nothing of it is left."""
        with self._lock:
            tasks = self._tasks.pop(name, [])
            for task in tasks:
                task.cancelled.set()
            if not self._closing.is_set():
                self._pool.submit(_logged, self._take_down, name, tasks)

    def _take_down(self, name: str, tasks: list[_Task]) -> None:
        # A task that waits for a thread is cancelled here, so that waiting never takes all threads of the pool.
        wait([task.future for task in tasks if not task.future.cancel()])
        fleet = self._runtime.fleets.pop(name, None)
        if fleet:
            self._stop(fleet)
        if self._closing.is_set():
            return
        shutil.rmtree(self._settings.sagemaker_home / "endpoints" / name, ignore_errors=True)
        document = self._store.get(KIND, name)
        if document is not None:
            self._tags.forget(document["EndpointArn"])
            self._store.delete(KIND, name)

    # One deployment

    def _deploy(self, name: str, deployment: str, cancelled: threading.Event) -> None:
        document = self.records.current(name, deployment)
        if document is None:
            return
        with self._returning(name):
            reason = self._serve_plan(document, cancelled)
            reason = reason or document.get("_reason")
            following = document.get("_next")
            if following is not None and not cancelled.is_set():
                reason = self._replace(document, following, cancelled)
        if cancelled.is_set():
            return
        # A failed creation leaves a Failed endpoint, a failed update the old fleet in service.
        changes: dict[str, Any] = {
            "EndpointStatus": "Failed",
            "FailureReason": reason[:1024] if reason else None,
        }
        fleet = self._runtime.fleets.get(name)
        if fleet is not None:
            changes |= {"EndpointStatus": "InService", "EndpointConfigName": fleet.plan["EndpointConfigName"]}
            changes["_plan"] = fleet.plan
        self.records.settle(name, deployment, changes)

    @contextmanager
    def _returning(self, name: str) -> Iterator[None]:
        try:
            yield
        finally:
            if not self._closing.is_set():
                self._runtime.returning.discard(name)

    def _serve_plan(self, document: Document, cancelled: threading.Event) -> str | None:
        """Serve with the document's own plan, if nothing does yet (a creation, a restart); return why it failed."""
        fleet = self._runtime.fleets.get(document["EndpointName"])
        try:
            plan = document.get("_plan") or self._plan_of(document["EndpointConfigName"])
        except Exception as error:
            return str(error)
        if fleet is None:
            return self._take_over(document["EndpointName"], plan, cancelled)
        try:
            if "_next" not in document:
                fleet.apply(plan, cancelled)
        except VariantError as error:
            return str(error)
        return None

    def _plan_of(self, config_name: str) -> Plan:
        """Endpoints that an earlier version of the platform has made carry no plan."""
        config = self._store.get("endpoint-config", config_name)
        if config is None:
            raise VariantError(f"Could not find endpoint configuration {config_name}")
        return make_plan(config, {model["ModelName"]: model for model in self._store.all("model")})

    def _take_over(self, name: str, plan: Plan, cancelled: threading.Event) -> str | None:
        """Serve with a first fleet when all of it answers; return why it does not."""
        fleet, reason = self._launched(name, plan, cancelled)
        if fleet is None:
            return reason
        with self._lock:
            if self._closing.is_set():  # `close` ends it, as it ends all
                return "cancelled"
            self._runtime.fleets[name] = fleet
        return None

    def _launched(self, name: str, plan: Plan, cancelled: threading.Event) -> tuple[Fleet | None, str]:
        """Start a fleet; return it when all of it answers, or why not."""
        try:
            fleet = Fleet(name, plan, self._settings, self._surroundings)
            with self._lock:
                self._alive.add(fleet)
            self._start(fleet, cancelled)
        except Exception as error:
            if not isinstance(error, VariantError):
                LOG.exception("endpoint %s", name)
            return None, str(error)
        if cancelled.is_set():
            self._stop(fleet)
            return None, "cancelled"
        return fleet, ""

    def _replace(self, document: Document, plan: Plan, cancelled: threading.Event) -> str | None:
        """Let a new fleet take over as the deployment configuration says; return why the old one serves on.

        After a restart it goes on with the step that it was at.
        """
        name, deployment, done = document["EndpointName"], document["_deployment"], document.get("_done", 0)
        rollout = Rollout(
            name, document.get("LastDeploymentConfig"), plan,
            runtime=self._runtime, surroundings=self._surroundings, cancelled=cancelled,
        )  # fmt: skip
        old, new = self._runtime.fleets.get(name), None
        if old is None:  # it did not come back after a restart: there is nothing to move the requests from
            return self._take_over(name, plan, cancelled)
        try:
            rollout.check()
            new, reason = self._launched(name, rollout.first_plan(done), cancelled)
            if new is None:
                return reason
            rollout.shift(old, new, done, partial(self.records.note, name, deployment))
            if not cancelled.is_set():
                new.apply(plan, cancelled)
        except (RolledBackError, VariantError) as error:
            if cancelled.is_set():
                return "cancelled"
            return self._roll_back(document, rollout, old, new, str(error))
        with self._lock:
            if cancelled.is_set() or self._closing.is_set():  # the end of the platform or of the endpoint ends both
                self._runtime.shifts.pop(name, None)
                return "cancelled"
            self._runtime.fleets[name] = new
            self._runtime.shifts.pop(name, None)
            self._pool.submit(_logged, self._stop, old)
        return None

    def _roll_back(self, document: Document, rollout: Rollout, old: Fleet, new: Fleet | None, reason: str) -> str:
        """The old fleet serves again at once; the endpoint is RollingBack until the new one has ended its requests."""
        self.records.roll_back(document["EndpointName"], document["_deployment"], reason)
        rollout.back(old, new or old)
        if new is not None:
            self._stop(new)
        return reason

    def _start(self, fleet: Fleet, cancelled: threading.Event) -> None:
        try:
            fleet.start(cancelled)
        except BaseException:
            self._stop(fleet)
            raise

    def _stop(self, fleet: Fleet) -> None:
        fleet.stop(drain_seconds=CLOSE_SECONDS if self._closing.is_set() else None)
        with self._lock:
            self._alive.discard(fleet)


def _logged(function: Callable[..., None], *arguments: object) -> None:
    """Nobody asks the pool's futures how they ended."""
    try:
        function(*arguments)
    except Exception:
        LOG.exception("an endpoint's deployment")
