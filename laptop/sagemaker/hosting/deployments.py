"""Bring endpoints to what their documents say, in the background: fleets come up, take over in one step, go down."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.hosting.fleet import Fleet
from laptop.sagemaker.hosting.plan import Plan, make_plan
from laptop.sagemaker.hosting.runtime import Runtime
from laptop.sagemaker.hosting.variant import VariantError
from laptop.sagemaker.hosting.watcher import Watcher
from laptop.sagemaker.store import Document, Store
from laptop.sagemaker.tags import Tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
KIND: Final = "endpoint"
#: What the platform's end leaves to requests in flight.
CLOSE_SECONDS: Final = 5.0
_AT_WORK: Final = ("Creating", "Updating", "SystemUpdating")


@dataclass(frozen=True)
class _Task:
    """One deployment under way."""

    cancelled: threading.Event
    future: Future[None]


class Deployments:
    """Carries out what an endpoint's document asks for.

    `_plan` is what the endpoint serves, or shall serve first; `_next` what it is updated to; `_deployment` tells one
    request's work from another's, so that late work never touches an endpoint that was deleted and made anew.
    """

    def __init__(
        self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags, runtime: Runtime
    ) -> None:
        self._settings, self._surroundings, self._store = settings, surroundings, store
        self._tags, self._runtime = tags, runtime
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._tasks: dict[str, list[_Task]] = {}
        #: Every fleet that may have processes: in service, on its way, or answering its last requests.
        self._alive: set[Fleet] = set()
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="sagemaker-endpoint")
        self._watcher = Watcher(runtime.fleets)
        self._recover()

    def _recover(self) -> None:
        """After a restart nothing is in service before its servers answer again, and nobody may think so.

        Servers end with the platform, however it ends; what a killed one could not clear away is of no use.
        """
        for left in (self._settings.sagemaker_home / "endpoints").glob("*/*/opt"):
            shutil.rmtree(left, ignore_errors=True)
        for document in self._store.all(KIND):
            if document["EndpointStatus"] in ("InService", *_AT_WORK):
                if document["EndpointStatus"] != "Creating":
                    self._runtime.returning.add(document["EndpointName"])
                self._store.update(KIND, document["EndpointName"], self._recovered)

    def _recovered(self, document: Document) -> None:
        if document["EndpointStatus"] == "InService":
            document["EndpointStatus"] = "SystemUpdating"
        document["_deployment"] = new_deployment()

    def start(self) -> None:
        """Bring back every endpoint that was in service or on its way, and finish deletions."""
        for document in self._store.all(KIND):
            if document["EndpointStatus"] == "Deleting":
                self.take_down(document["EndpointName"])
            elif document["EndpointStatus"] in _AT_WORK:
                if document["EndpointStatus"] == "SystemUpdating":
                    self.emit(document)
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

    def emit(self, document: Document) -> None:
        """Put the event of a status change. EventBridge spells statuses in capitals with underscores."""
        detail = json.loads(json.dumps(shown(document), default=plain))
        status = detail["EndpointStatus"]
        words = "".join(f"_{letter}" if letter.isupper() else letter for letter in status)
        detail["EndpointStatus"] = words.lstrip("_").upper()
        self._surroundings.put_event("SageMaker Endpoint State Change", detail, [document["EndpointArn"]])

    def launch(self, document: Document) -> None:
        """Begin what a document asks for, unless a later request has overtaken it."""
        name = document["EndpointName"]
        with self._lock:
            if self._closing.is_set() or not self._current(name, document["_deployment"]):
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

    def _current(self, name: str, deployment: str) -> Document | None:
        document = self._store.get(KIND, name)
        if document is None or document["EndpointStatus"] not in _AT_WORK or document["_deployment"] != deployment:
            return None
        return document

    def _deploy(self, name: str, deployment: str, cancelled: threading.Event) -> None:
        document = self._current(name, deployment)
        if document is None:
            return
        with self._returning(name):
            reason = self._serve_plan(document, cancelled)
            following = document.get("_next")
            if following is not None and not cancelled.is_set():
                reason = self._take_over(name, following, cancelled)
        if cancelled.is_set():
            return
        # A failed creation leaves a Failed endpoint, a failed update the old fleet in service.
        changes: dict[str, Any] = {
            "EndpointStatus": "Failed",
            "FailureReason": reason[:1024] if reason else None,
            "_next": None,
        }
        fleet = self._runtime.fleets.get(name)
        if fleet is not None:
            changes |= {"EndpointStatus": "InService", "EndpointConfigName": fleet.plan["EndpointConfigName"]}
            changes["_plan"] = fleet.plan
        self._settle(name, deployment, changes)

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
        if "_next" not in document:
            fleet.apply(plan)
        return None

    def _plan_of(self, config_name: str) -> Plan:
        """Endpoints that an earlier version of the platform has made carry no plan."""
        config = self._store.get("endpoint-config", config_name)
        if config is None:
            raise VariantError(f"Could not find endpoint configuration {config_name}")
        return make_plan(config, {model["ModelName"]: model for model in self._store.all("model")})

    def _take_over(self, name: str, plan: Plan, cancelled: threading.Event) -> str | None:
        """Start a fleet; switch when all of it answers; the old one ends when its callers have their answers."""
        try:
            fleet = Fleet(name, plan, self._settings, self._surroundings)
            with self._lock:
                self._alive.add(fleet)
            self._start(fleet, cancelled)
        except Exception as error:
            if not isinstance(error, VariantError):
                LOG.exception("endpoint %s", name)
            return str(error)
        if cancelled.is_set():
            self._stop(fleet)
            return "cancelled"
        with self._lock:
            if self._closing.is_set():  # `close` ends it, as it ends all
                return "cancelled"
            old = self._runtime.fleets.get(name)
            self._runtime.fleets[name] = fleet
            if old is not None:
                self._pool.submit(_logged, self._stop, old)
        return None

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

    def _settle(self, name: str, deployment: str, changes: dict[str, Any]) -> None:
        """Write a deployment's end, unless the endpoint is being deleted meanwhile."""

        def mutate(document: Document) -> None:
            if document["_deployment"] == deployment and document["EndpointStatus"] in _AT_WORK:
                document.update(changes, LastModifiedTime=now())
                for key in [key for key, value in document.items() if value is None]:
                    del document[key]

        document = self._store.update(KIND, name, mutate)
        if document["EndpointStatus"] == changes["EndpointStatus"]:
            self.emit(document)


def new_deployment() -> str:
    """Return a mark for one request's work."""
    return uuid.uuid4().hex


def shown(document: Document) -> Document:
    """Return what of a document is for others."""
    return {key: value for key, value in document.items() if not key.startswith("_")}


def _logged(function: Callable[..., None], *arguments: object) -> None:
    """Nobody asks the pool's futures how they ended."""
    try:
        function(*arguments)
    except Exception:
        LOG.exception("an endpoint's deployment")
