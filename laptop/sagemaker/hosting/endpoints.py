"""Endpoints: a fleet of server processes comes up in the background, and takes over in one step."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from laptop.sagemaker.arns import arn, now
from laptop.sagemaker.epoch import plain
from laptop.sagemaker.errors import invalid
from laptop.sagemaker.hosting.runtime import Fleet, Runtime
from laptop.sagemaker.hosting.variant import Variant, VariantError
from laptop.sagemaker.listing import list_page
from laptop.sagemaker.store import Document, KeyExistsError, Store
from laptop.sagemaker.tags import Tags, check_tags
from laptop.settings import LaptopSettings
from laptop.surroundings import Surroundings

LOG: Final = logging.getLogger(__name__)
KIND: Final = "endpoint"
WATCH_SECONDS: Final = 0.5
#: A variant whose process dies is started again, the wait doubling up to this many seconds.
MAX_RESTART_WAIT: Final = 30.0
Operation = Callable[[dict[str, Any]], dict[str, Any]]


class Endpoints:
    """Create, describe, list, update and delete endpoints; one process per variant whatever its instance count."""

    def __init__(
        self, settings: LaptopSettings, surroundings: Surroundings, store: Store, tags: Tags, runtime: Runtime
    ) -> None:
        self._settings, self._surroundings, self._store = settings, surroundings, store
        self._tags, self._runtime = tags, runtime
        self._cancelled: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="sagemaker-endpoint")
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="endpoint-watcher", daemon=True)
        self._watcher.start()

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._update_weights,
            "DeleteEndpoint": self._delete,
        }

    def using(self, config: str) -> list[str]:
        """Return the endpoints that use an endpoint configuration, or are changing to it."""
        return [
            document["EndpointName"]
            for document in self._store.all(KIND)
            if config in (document["EndpointConfigName"], document.get("_next_config"))
            and document["EndpointStatus"] not in ("Failed", "Deleting")
        ]

    def start(self) -> None:
        """Bring back every endpoint that was in service or on its way."""
        for document in self._store.all(KIND):
            if document["EndpointStatus"] in ("InService", "Creating", "Updating"):
                config = document.get("_next_config") or document["EndpointConfigName"]
                self._deploy(document["EndpointName"], config, "Creating")
            elif document["EndpointStatus"] == "Deleting":
                self._store.delete(KIND, document["EndpointName"])

    def close(self) -> None:
        self._closing.set()
        for event in self._cancelled.values():
            event.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with ThreadPoolExecutor(8) as stopper:
            for fleet in self._runtime.fleets.values():
                for variant in fleet.variants():
                    stopper.submit(variant.stop, drain_seconds=5)
        self._runtime.fleets.clear()

    # Operations

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        self._need_config(config)
        check_tags(request.get("Tags", []))
        identity, moment = arn(self._settings, KIND, name), now()
        document = {
            "EndpointName": name,
            "EndpointArn": identity,
            "EndpointConfigName": config,
            "EndpointStatus": "Creating",
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }
        try:
            self._store.create(KIND, name, document)
        except KeyExistsError as error:
            raise invalid(f'Cannot create already existing endpoint "{identity}".') from error
        self._tags.set_at_creation(identity, request.get("Tags", []))
        self._emit(document)
        self._deploy(name, config, "Creating")
        return {"EndpointArn": identity}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        document, new = self._need(name), self._need_config(config)
        if document["EndpointStatus"] != "InService":
            raise invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
        if config == document["EndpointConfigName"]:
            raise invalid(f"Cannot update endpoint {name}: it already uses the endpoint configuration {config}")
        old = self._store.get("endpoint-config", document["EndpointConfigName"]) or {"ProductionVariants": []}
        if _is_serverless(new) and not _is_serverless(old):
            raise invalid("A real-time endpoint cannot be updated to a serverless one")
        self._change(name, EndpointStatus="Updating", _next_config=config)
        self._deploy(name, config, "Updating")
        return {"EndpointArn": document["EndpointArn"]}

    def _update_weights(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        document, fleet = self._need(name), self._runtime.fleets.get(name)
        if document["EndpointStatus"] != "InService" or fleet is None:
            raise invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
        wanted = {item["VariantName"]: item.get("DesiredWeight") for item in request["DesiredWeightsAndCapacities"]}
        unknown = set(wanted) - set(fleet.production)
        if unknown:
            raise invalid(f"Variant {', '.join(sorted(unknown))} does not exist in endpoint {name}")
        for variant, weight in wanted.items():
            if weight is not None:
                fleet.production[variant] = (fleet.production[variant][0], weight)
        self._change(name, _weights={key: weight for key, (_, weight) in fleet.production.items()})
        return {"EndpointArn": document["EndpointArn"]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        document = self._need(name)
        if document["EndpointStatus"] == "Updating":
            raise invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
        self._change(name, EndpointStatus="Deleting")
        if name in self._cancelled:
            self._cancelled[name].set()
        self._pool.submit(self._take_down, name)
        return {}

    def _take_down(self, name: str) -> None:
        fleet = self._runtime.fleets.pop(name, None)
        for variant in fleet.variants() if fleet else []:
            variant.stop()
        self._store.delete(KIND, name)
        shutil.rmtree(self._settings.sagemaker_home / "endpoints" / name, ignore_errors=True)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        document = self._need(request["EndpointName"])
        answer = {key: value for key, value in document.items() if not key.startswith("_")}
        config = self._store.get("endpoint-config", document["EndpointConfigName"]) or {}
        fleet = self._runtime.fleets.get(document["EndpointName"])
        if fleet:
            answer["ProductionVariants"] = [
                _summary(item, fleet.production[item["VariantName"]][1])
                for item in config.get("ProductionVariants", ())
                if item["VariantName"] in fleet.production
            ]
            if fleet.shadow:
                shadow = config["ShadowProductionVariants"][0]
                answer["ShadowProductionVariants"] = [_summary(shadow, fleet.shadow[2])]
        capture = config.get("DataCaptureConfig")
        if capture:
            answer["DataCaptureConfig"] = {
                "EnableCapture": capture.get("EnableCapture", False),
                "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture.get("KmsKeyId", ""),
            }
        return answer

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return list_page(
            self._store.all(KIND),
            request,
            result_key="Endpoints",
            name_key="EndpointName",
            status_key="EndpointStatus",
            summary_keys=keys,
        )

    def _need(self, name: str) -> Document:
        document = self._store.get(KIND, name)
        if document is None:
            raise invalid(f'Could not find endpoint "{arn(self._settings, KIND, name)}".')
        return document

    def _need_config(self, name: str) -> Document:
        document = self._store.get("endpoint-config", name)
        if document is None:
            raise invalid(f'Could not find endpoint configuration "{arn(self._settings, "endpoint-config", name)}".')
        return document

    def _change(self, name: str, **fields: Any) -> None:
        def mutate(document: Document) -> None:
            document.update(fields)
            document["LastModifiedTime"] = now()
            for key in [key for key, value in document.items() if value is None]:
                del document[key]

        self._emit(self._store.update(KIND, name, mutate))

    def _emit(self, document: Document) -> None:
        shown = {key: value for key, value in document.items() if not key.startswith("_")}
        detail = json.loads(json.dumps(shown, default=plain))
        # EventBridge spells endpoint statuses in capitals with underscores.
        detail["EndpointStatus"] = _EVENT_STATUS.get(detail["EndpointStatus"], detail["EndpointStatus"])
        self._surroundings.put_event("SageMaker Endpoint State Change", detail, [document["EndpointArn"]])

    # Deploying

    def _deploy(self, name: str, config: str, phase: str) -> None:
        self._cancelled[name] = cancelled = threading.Event()
        self._pool.submit(self._bring_up, name, config, phase, cancelled)

    def _bring_up(self, name: str, config_name: str, phase: str, cancelled: threading.Event) -> None:
        """Start the new fleet; switch when all of it answers; stop the old one when its callers have their answers."""
        try:
            fleet = self._start_fleet(name, self._need_config(config_name), cancelled)
        except Exception as error:
            if not isinstance(error, VariantError):
                LOG.exception("endpoint %s", name)
            if not self._closing.is_set() and not cancelled.is_set():
                self._failed(name, phase, str(error))
            return
        old = self._runtime.fleets.get(name)
        self._runtime.fleets[name] = fleet
        if cancelled.is_set() and not self._closing.is_set():
            self._take_down(name)
            return
        if not self._closing.is_set():
            reason = {"FailureReason": None, "_next_config": None}
            self._change(name, EndpointStatus="InService", EndpointConfigName=config_name, **reason)
        for variant in old.variants() if old else []:
            variant.stop()

    def _failed(self, name: str, phase: str, reason: str) -> None:
        """A failed creation leaves a Failed endpoint; a failed update leaves the old fleet in service."""
        status = "Failed" if phase == "Creating" else "InService"
        self._change(name, EndpointStatus=status, FailureReason=reason[:1024], _next_config=None)

    def _start_fleet(self, name: str, config: Document, cancelled: threading.Event) -> Fleet:
        serial = f"{time.time_ns():x}"
        listed = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]
        variants: dict[str, Variant] = {}
        for item in listed:
            model = self._store.get("model", item["ModelName"])
            if model is None:
                raise VariantError(f"Could not find model {item['ModelName']}.")
            variant = item["VariantName"]
            variants[variant] = Variant(
                model,
                folder=self._settings.sagemaker_home / "endpoints" / name / f"{variant}-{serial}",
                group=f"/aws/sagemaker/Endpoints/{name}",
                stream=f"{variant}/i-{serial}",
                settings=self._settings,
                surroundings=self._surroundings,
            )
        limits = {
            item["VariantName"]: float(item["ContainerStartupHealthCheckTimeoutInSeconds"])
            for item in listed
            if "ContainerStartupHealthCheckTimeoutInSeconds" in item
        }
        self._start_variants(variants, cancelled, limits)
        serverless = config["ProductionVariants"][0].get("ServerlessConfig")
        shadow = next(iter(config.get("ShadowProductionVariants", ())), None)
        return Fleet(
            config=config,
            production={
                item["VariantName"]: (variants[item["VariantName"]], float(item.get("InitialVariantWeight", 1.0)))
                for item in config["ProductionVariants"]
            },
            shadow=(
                (shadow["VariantName"], variants[shadow["VariantName"]], float(shadow.get("InitialVariantWeight", 1.0)))
                if shadow
                else None
            ),
            serverless=serverless is not None,
            limit=threading.BoundedSemaphore(serverless["MaxConcurrency"]) if serverless else None,
        )

    def _start_variants(
        self, variants: dict[str, Variant], cancelled: threading.Event, limits: dict[str, float]
    ) -> None:
        with ThreadPoolExecutor(len(variants)) as starter:
            starts = []
            for name, variant in variants.items():
                limit = {"startup_seconds": limits[name]} if name in limits else {}
                starts.append(starter.submit(variant.start, cancelled, **limit))
        errors = [error for start in starts if (error := start.exception())]
        if errors:
            for variant in variants.values():
                variant.stop(drain_seconds=0)
            raise errors[0]

    # Watching

    def _watch(self) -> None:
        """Start again what has died; callers meanwhile get ServiceUnavailable, or the other variants."""
        waits: dict[Variant, tuple[float, float]] = {}
        while not self._closing.wait(WATCH_SECONDS):
            for name, fleet in list(self._runtime.fleets.items()):
                for variant in fleet.variants():
                    if variant.alive or self._closing.is_set():
                        continue
                    due, wait = waits.get(variant, (0.0, 0.5))
                    if time.monotonic() < due:
                        continue
                    waits[variant] = (time.monotonic() + wait, min(wait * 2, MAX_RESTART_WAIT))
                    LOG.warning("endpoint %s: a container died and is started again", name)
                    try:
                        variant.start(self._closing)
                    except VariantError as error:
                        LOG.warning("endpoint %s: %s", name, error)


_EVENT_STATUS: Final = {
    "InService": "IN_SERVICE",
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "Failed": "FAILED",
    "Deleting": "DELETING",
}


def _is_serverless(config: Document) -> bool:
    return any("ServerlessConfig" in variant for variant in config["ProductionVariants"])


def _summary(variant: dict[str, Any], weight: float) -> dict[str, Any]:
    summary = {"VariantName": variant["VariantName"], "CurrentWeight": weight, "DesiredWeight": weight}
    if "ServerlessConfig" in variant:
        return summary | {"CurrentServerlessConfig": variant["ServerlessConfig"]}
    count = variant["InitialInstanceCount"]
    return summary | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
