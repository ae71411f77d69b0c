"""Put the local SageMaker into MiniStack as a service of its own, and the platform's admin paths beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from laptop.dashboards import PREFIX, Dashboards, of_this_machine
from laptop.ministack.recorded import Recorded
from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError
from laptop.sagemaker.http import SageMakerHttp

Handler = Callable[
    [str, str, Mapping[str, str], bytes, Mapping[str, Any]], Awaitable[tuple[int, dict[str, str], bytes]]
]
ADMIN_PREFIX: Final = "/_passerelle/"


class ServiceModule:
    """What MiniStack expects of a service module. SageMaker keeps its own state, so there is none to save."""

    def __init__(self, handler: Handler) -> None:
        self.handle_request = handler

    def reset(self) -> None:
        """MiniStack's reset leaves SageMaker's jobs alone: `passerelle down --delete-state` removes them."""

    def get_state(self) -> None:
        return None

    def load_persisted_state(self, data: object) -> None:
        return None


def register_sagemaker(sagemaker: SageMaker) -> None:
    """Answer what boto3's `sagemaker` and `sagemaker-runtime` clients send (both sign as `sagemaker`)."""
    import ministack.app as app
    from ministack.core import iam_actions, router

    app._loaded_modules["sagemaker"] = ServiceModule(SageMakerHttp(sagemaker).handle_request)
    app.SERVICE_REGISTRY["sagemaker"] = {"module": "sagemaker"}
    app.SERVICE_HANDLERS["sagemaker"] = app._lazy_handler("sagemaker")
    router.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"api\.sagemaker\.", r"runtime\.sagemaker\."],
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE["sagemaker"] = "sagemaker"
    iam_actions._BOTOCORE_SERVICE_MAP["sagemaker"] = ["sagemaker-runtime"]


class Admin:
    """The platform's own paths: /_passerelle/status, /_passerelle/interrupt/<job> and /_passerelle/dashboard/."""

    def __init__(
        self,
        sagemaker: SageMaker,
        recorded: Recorded,
        *,
        dashboards: Dashboards,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._sagemaker, self._recorded, self._on_change = sagemaker, recorded, on_change
        self._dashboards = dashboards
        #: False until endpoints, jobs and executions of before a restart are at work again.
        self.ready = False

    def wrap(self, application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return an ASGI application that answers the admin paths and passes everything else on."""

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            foreign = scope["type"] == "http" and _from_another_site(scope["headers"])
            if not foreign and (scope["type"] != "http" or not scope["path"].startswith(ADMIN_PREFIX)):
                await application(scope, receive, send)
                if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
                    self._on_change()
                return
            if foreign:
                status, headers, body = _as_json(403, {"error": "requests from web pages of other sites are refused"})
            else:
                # The status reads a file and the interruption a database: not on the event loop.
                status, headers, body = await asyncio.to_thread(self._respond, scope)
            encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": encoded})
            await send({"type": "http.response.body", "body": body})

        return asgi

    def _respond(self, scope: Any) -> tuple[int, dict[str, str], bytes]:
        if not scope["path"].startswith(PREFIX):
            return _as_json(*self.answer(scope["method"], scope["path"].removeprefix(ADMIN_PREFIX)))
        if scope["method"] not in ("GET", "HEAD"):
            return _as_json(405, {"error": "dashboards are only read"})
        if not of_this_machine(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            return _as_json(403, {"error": "dashboards are shown at 127.0.0.1 and localhost only"})
        return self._dashboards.answer(scope["path"], scope["query_string"].decode("latin-1"))

    def answer(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        """Return (HTTP status, document)."""
        if method == "GET" and path == "status":
            endpoints = sorted(self._sagemaker.hosting.runtime.fleets)
            jobs = self._sagemaker.jobs.running()
            return 200, {
                "ready": self.ready,
                "running_jobs": jobs,
                "endpoints": endpoints,
                "recorded_only": self._recorded.names(),
                "versions": {name: version(name) for name in ("ministack", "botocore", "mlflow")},
            }
        if method == "POST" and path.startswith("interrupt/"):
            try:
                self._sagemaker.interrupt(path.removeprefix("interrupt/"))
            except SageMakerError as error:
                return 409, {"error": error.message}
            return 200, {"interrupted": path.removeprefix("interrupt/")}
        return 404, {"error": f"no such path: {method} {path}"}


def _as_json(status: int, document: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


def _from_another_site(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Browsers send this header; any web page could otherwise wipe or read the platform on 127.0.0.1."""
    return dict(headers).get(b"sec-fetch-site", b"none") == b"cross-site"
