"""Inference components: models that share an endpoint's instances, each with copies of its own, down to none."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.errors import SageMakerError, invalid
from laptop.sagemaker.hosting.component_rules import check_copies, check_endpoint, check_specification, container_of
from laptop.sagemaker.hosting.deployments import CLOSE_SECONDS
from laptop.sagemaker.hosting.invocation import component_log_group
from laptop.sagemaker.hosting.replicas import Replicas
from laptop.sagemaker.hosting.runtime import Component, Runtime
from laptop.sagemaker.hosting.variant import STARTUP_SECONDS, Variant, VariantError
from laptop.sagemaker.listing import list_page
from laptop.sagemaker.store import Document, KeyExistsError, Store
from laptop.sagemaker.tags import Tags, check_tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
KIND: Final = "inference-component"
Operation = Callable[[dict[str, Any]], dict[str, Any]]
_NAME: Final = "InferenceComponentName"
_STATUS: Final = "InferenceComponentStatus"


class Components:
    """The operations, and what they ask for in the background."""

    def __init__(
        self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags, runtime: Runtime
    ) -> None:
        self._settings, self._surroundings, self._store = settings, surroundings, store
        self._tags, self._runtime, self._closing = tags, runtime, threading.Event()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="inference-component")
        shutil.rmtree(settings.sagemaker_home / "components", ignore_errors=True)
        for document in store.all(KIND):
            if document[_STATUS] == "InService":  # not before its copies answer again
                self._change(document[_NAME], lambda found: found.update({_STATUS: "Updating"}))

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateInferenceComponent": self._create,
            "DescribeInferenceComponent": lambda request: _shown(self._need(request[_NAME])),
            "ListInferenceComponents": self._list,
            "UpdateInferenceComponent": self._update,
            "UpdateInferenceComponentRuntimeConfig": self._update_copies,
            "DeleteInferenceComponent": self._delete,
        }

    def of(self, endpoint: str) -> list[Document]:
        """Return the components of an endpoint."""
        return [document for document in self._store.all(KIND) if document["EndpointName"] == endpoint]

    def start(self) -> None:
        """Bring the copies back, and finish deletions."""
        for document in self._store.all(KIND):
            if document[_STATUS] != "Failed":
                self._submit(self._take_down if document[_STATUS] == "Deleting" else self._bring_up, document)

    def close(self) -> None:
        """End every process; what was under way goes on after the next start."""
        self._closing.set()
        components = list(self._runtime.components.values())
        self._runtime.components.clear()
        for component in components:
            component.servers.stop(drain_seconds=CLOSE_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    # Operations

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, moment = request[_NAME], now()
        identity = arn(self._settings, KIND, name)
        check_tags(request.get("Tags", []))
        if "Specification" not in request or "RuntimeConfig" not in request or "VariantName" not in request:
            raise invalid("VariantName, Specification and RuntimeConfig must be given for an inference component")
        copies = check_copies(request["RuntimeConfig"]["CopyCount"])
        endpoint = self._store.get("endpoint", request["EndpointName"])
        check_endpoint(endpoint, request["EndpointName"], request["VariantName"])
        assert endpoint is not None
        document = {
            _NAME: name, "InferenceComponentArn": identity, "EndpointName": endpoint["EndpointName"],
            "EndpointArn": endpoint["EndpointArn"], "VariantName": request["VariantName"],
            "Specification": request["Specification"], "CreationTime": moment, "LastModifiedTime": moment,
            "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": 0}, _STATUS: "Creating",
            "_model": self._model(request["Specification"]), "_work": uuid.uuid4().hex,
        }  # fmt: skip
        try:
            self._store.create(KIND, name, document)
        except KeyExistsError as error:
            raise invalid(f'Cannot create already existing inference component "{identity}".') from error
        self._tags.set_at_creation(identity, request.get("Tags", []))
        self._submit(self._bring_up, document)
        return {"InferenceComponentArn": identity}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        """A rolling DeploymentConfig is kept; all copies of a new specification take over at once on the laptop."""
        changes: Document = {}
        if "Specifications" in request:
            raise invalid("Specifications by instance type are not offered by the laptop's SageMaker")
        if "Specification" in request:
            before = self._need(request[_NAME])["Specification"]
            wanted = before | request["Specification"]
            changes |= {"Specification": wanted, "_model": self._model(wanted), "_former": before}
        if "DeploymentConfig" in request:
            changes["LastDeploymentConfig"] = request["DeploymentConfig"]
        copies = request["RuntimeConfig"]["CopyCount"] if "RuntimeConfig" in request else None
        return self._begin(request[_NAME], changes, copies)

    def _update_copies(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._begin(request[_NAME], {}, request["DesiredRuntimeConfig"]["CopyCount"])

    def _begin(self, name: str, changes: Mapping[str, Any], copies: int | None) -> dict[str, Any]:
        self._need(name)

        def mutate(found: Document) -> None:
            if found[_STATUS] != "InService":
                raise invalid(f'Cannot update inference component "{name}" in status {found[_STATUS]}.')
            runtime = dict(found["RuntimeConfig"])
            if copies is not None:
                runtime["DesiredCopyCount"] = copies
            found.pop("FailureReason", None)
            found.update(changes, RuntimeConfig=runtime, LastModifiedTime=now(), _work=uuid.uuid4().hex)
            found[_STATUS] = "Updating"

        document = self._change(name, mutate)
        self._submit(self._bring_up, document)
        return {"InferenceComponentArn": document["InferenceComponentArn"]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(request[_NAME])

        def mutate(found: Document) -> None:
            if found[_STATUS] in ("Updating", "Deleting"):
                raise invalid(f'Cannot delete inference component "{found[_NAME]}" in status {found[_STATUS]}.')
            found.update({_STATUS: "Deleting", "LastModifiedTime": now(), "_work": uuid.uuid4().hex})

        self._submit(self._take_down, self._change(request[_NAME], mutate))
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        filters = {"EndpointName": "EndpointNameEquals", "VariantName": "VariantNameEquals"}
        found = [
            document for document in self._store.all(KIND)
            if all(request.get(wanted, document[key]) == document[key] for key, wanted in filters.items())
        ]  # fmt: skip
        keys = (_NAME, "InferenceComponentArn", "EndpointName", "EndpointArn", "VariantName", _STATUS,
                "CreationTime", "LastModifiedTime")  # fmt: skip
        return list_page(
            found, request, result_key="InferenceComponents", name_key=_NAME, status_key=_STATUS, summary_keys=keys
        )

    def _need(self, name: str) -> Document:
        document = self._store.get(KIND, name)
        if document is None:
            raise invalid(f'Could not find inference component "{arn(self._settings, KIND, name)}".')
        return document

    def _model(self, specification: Mapping[str, Any]) -> dict[str, Any]:
        check_specification(specification)
        model = self._store.get("model", specification.get("ModelName", ""))
        if "ModelName" in specification and model is None:
            raise invalid(f'Could not find model "{specification["ModelName"]}".')
        return container_of(specification, model)

    # In the background

    def _submit(self, work: Callable[[Document], None], document: Document) -> None:
        def logged() -> None:
            try:
                work(document)
            except Exception:
                LOG.exception("inference component %s", document[_NAME])

        if not self._closing.is_set():
            self._pool.submit(logged)

    def _bring_up(self, document: Document) -> None:
        """Have as many copies of this specification as wanted; a specification that fails leaves the former one."""
        name, copies = document[_NAME], document["RuntimeConfig"]["DesiredCopyCount"]
        old, failed = self._runtime.components.get(name), None
        try:
            if old is not None and old.model == document["_model"]:
                old.servers.resize(copies, self._closing)
            else:
                servers = Replicas(self._maker(document), copies)
                servers.start(self._closing)
                place = (document["EndpointName"], document["VariantName"])
                if self._take_over(name, document, Component(*place, servers, document["_model"])) and old is not None:
                    old.servers.stop()
        except VariantError as error:
            failed = str(error)
        if not self._closing.is_set():
            self._settle(name, document, failed)

    def _take_over(self, name: str, document: Document, component: Component) -> bool:
        """Answer by these copies, unless the component was deleted meanwhile or the platform closes."""
        found = self._store.get(KIND, name)
        if found is None or found["_work"] != document["_work"] or self._closing.is_set():
            component.servers.stop(drain_seconds=0)
            return False
        self._runtime.components[name] = component
        return True

    def _settle(self, name: str, document: Document, failed: str | None) -> None:
        component = self._runtime.components.get(name)

        def mutate(found: Document) -> None:
            if found["_work"] != document["_work"]:
                return
            wanted = found["RuntimeConfig"]["DesiredCopyCount"]
            found[_STATUS], found["LastModifiedTime"] = "InService" if component else "Failed", now()
            if failed:
                found["FailureReason"] = failed[:1024]
                wanted = len(component.servers.variants()) if component else 0
            elif component is None:
                wanted = 0
            if component is not None and failed:
                found["_model"] = component.model
                found["Specification"] = found.get("_former", found["Specification"])
            found["RuntimeConfig"] = {"DesiredCopyCount": wanted, "CurrentCopyCount": wanted}

        self._change(name, mutate)

    def _take_down(self, document: Document) -> None:
        component = self._runtime.components.pop(document[_NAME], None)
        if component is not None:
            component.servers.stop()
        if not self._closing.is_set():
            self._tags.forget(document["InferenceComponentArn"])
            self._store.delete(KIND, document[_NAME])

    def _change(self, name: str, mutate: Callable[[Document], None]) -> Document:
        try:
            return self._store.update(KIND, name, mutate)
        except KeyError as error:  # deleted meanwhile
            raise SageMakerError("ValidationException", f"Could not find inference component {name}") from error

    def _maker(self, document: Document) -> Callable[[int], Variant]:
        name, serial = document[_NAME], f"{time.time_ns():x}"
        startup = document["Specification"].get("StartupParameters", {})
        seconds = startup.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS)

        def make(number: int) -> Variant:
            return Variant(
                document["_model"],
                folder=self._settings.sagemaker_home / "components" / name / f"{serial}{number:02d}",
                group=component_log_group(name),
                stream=f"{document['VariantName']}/i-{serial}{number:02d}",
                settings=self._settings,
                surroundings=self._surroundings,
                startup_seconds=float(seconds),
            )

        return make


def _shown(document: Document) -> Document:
    return {key: value for key, value in document.items() if not key.startswith("_")}
