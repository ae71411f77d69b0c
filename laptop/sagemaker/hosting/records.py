"""Endpoints as they are written down: the states of a deployment, and the events that tell of them."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from laptop.sagemaker.arns import now
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.store import Document, Store
from laptop.surroundings import Surroundings

KIND: Final = "endpoint"
AT_WORK: Final = ("Creating", "Updating", "RollingBack", "SystemUpdating")


class Records:
    """Reads and changes the documents of endpoints.

    `_plan` is what the endpoint serves, or shall serve first; `_next` what it is updated to, `_done` how many steps of
    that are done and `_stage` the present one; `_reason` why it rolls back; `_deployment` tells one request's work from
    another's, so that late work never touches an endpoint that was deleted and made anew.
    """

    def __init__(self, store: Store, surroundings: Surroundings) -> None:
        self._store, self._surroundings = store, surroundings

    def emit(self, document: Document) -> None:
        """Put the event of a status change. EventBridge spells statuses in capitals with underscores."""
        detail = json.loads(json.dumps(shown(document), default=plain))
        status = detail["EndpointStatus"]
        words = "".join(f"_{letter}" if letter.isupper() else letter for letter in status)
        detail["EndpointStatus"] = words.lstrip("_").upper()
        self._surroundings.put_event("SageMaker Endpoint State Change", detail, [document["EndpointArn"]])

    def current(self, name: str, deployment: str) -> Document | None:
        """Return an endpoint's document while a deployment is its present one, and at work."""
        document = self._store.get(KIND, name)
        return document if document is not None and _is_at(document, deployment) else None

    def recover(self, name: str) -> None:
        """After a restart nothing is in service before its servers answer again, and earlier work is nobody's."""

        def mutate(document: Document) -> None:
            if document["EndpointStatus"] == "InService":
                document["EndpointStatus"] = "SystemUpdating"
            document["_deployment"] = new_deployment()

        self._store.update(KIND, name, mutate)

    def note(self, name: str, deployment: str, done: int, status: str) -> None:
        """Keep how far a deployment is, for DescribeEndpoint and for a restart of the platform."""

        def mutate(document: Document) -> None:
            if _is_at(document, deployment):
                document.update(_done=done, _stage={"Status": status, "StartTime": now()})

        self._store.update(KIND, name, mutate)

    def roll_back(self, name: str, deployment: str, reason: str) -> None:
        """The endpoint returns to what it served; a restart does not begin the update again."""

        def mutate(document: Document) -> None:
            if _is_at(document, deployment):
                document.update(EndpointStatus="RollingBack", LastModifiedTime=now(), _reason=reason)
                document.pop("_next", None)

        document = self._store.update(KIND, name, mutate)
        if document["EndpointStatus"] == "RollingBack":
            self.emit(document)

    def settle(self, name: str, deployment: str, changes: dict[str, Any]) -> None:
        """Write a deployment's end, unless the endpoint is being deleted meanwhile."""
        changes = changes | dict.fromkeys(("_next", "_reason", "_done", "_stage"))

        def mutate(document: Document) -> None:
            if _is_at(document, deployment):
                document.update(changes, LastModifiedTime=now())
                for key in [key for key, value in document.items() if value is None]:
                    del document[key]

        document = self._store.update(KIND, name, mutate)
        if document["EndpointStatus"] == changes["EndpointStatus"]:
            self.emit(document)


def _is_at(document: Document, deployment: str) -> bool:
    return document["_deployment"] == deployment and document["EndpointStatus"] in AT_WORK


def new_deployment() -> str:
    """Return a mark for one request's work."""
    return uuid.uuid4().hex


def shown(document: Document) -> Document:
    """Return what of a document is for others."""
    return {key: value for key, value in document.items() if not key.startswith("_")}
