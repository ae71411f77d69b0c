"""SageMaker over HTTP: JSON 1.1 for the control plane, REST for the runtime (both sign as `sagemaker`)."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from laptop.sagemaker.api import SageMaker
from laptop.sagemaker.errors import SageMakerError

LOG: Final = logging.getLogger(__name__)
Response = tuple[int, dict[str, str], bytes]
_INVOCATION: Final = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_JSON: Final = "application/x-amz-json-1.1"
_THREADS: Final = 32
#: A call holds its thread until its model has answered: serverless endpoints alone may have 200 at once.
_INVOCATIONS: Final = 256


class SageMakerHttp:
    """Answers SageMaker's HTTP requests. Work is done on threads: the event loop is never blocked."""

    def __init__(self, sagemaker: SageMaker) -> None:
        self._sagemaker = sagemaker
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sagemaker-http")
        self._invocations = ThreadPoolExecutor(_INVOCATIONS, thread_name_prefix="sagemaker-invocation")

    async def handle_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        """Answer one request; header names are in lower case."""
        match = _INVOCATION.fullmatch(path)
        work: Callable[[], Response]
        if match:
            work = lambda: self._invoke(match[1], match[2], headers, body)  # noqa: E731
        else:
            work = lambda: self._control(headers.get("x-amz-target", ""), body)  # noqa: E731
        context, threads = contextvars.copy_context(), self._invocations if match else self._threads
        return await asyncio.get_running_loop().run_in_executor(threads, context.run, work)

    def _control(self, target: str, body: bytes) -> Response:
        operation = target.rpartition(".")[2]
        try:
            answer = self._sagemaker.call(operation, _document(body))
            return 200, {"content-type": _JSON}, json.dumps(answer, default=_epoch).encode()
        except SageMakerError as error:
            return _failure(error)
        except Exception:
            LOG.exception("defect in %s", operation)
            return _failure(SageMakerError("InternalFailure", "defect of the local SageMaker; see its log", status=500))

    def _invoke(self, name: str, kind: str, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            if kind != "invocations":
                raise SageMakerError("ValidationError", f"The laptop's SageMaker does not offer /{kind}")
            result = self._sagemaker.invoke_endpoint(name, headers, body)
            return 200, dict(result.headers), result.body
        except SageMakerError as error:
            return _failure(error)
        except Exception:
            LOG.exception("defect in InvokeEndpoint %s", name)
            return _failure(SageMakerError("InternalFailure", "defect of the local SageMaker; see its log", status=500))


def _document(body: bytes) -> dict[str, Any]:
    """Return the request.

    Raises SerializationException for what is no JSON object; NaN and Infinity are not JSON.
    """
    try:
        request = json.loads(body or b"{}", parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise SageMakerError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise SageMakerError("SerializationException", "The request is not a JSON object")
    return request


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _failure(error: SageMakerError) -> Response:
    """The runtime's errors have their own HTTP statuses and an error-type header (sagemaker-runtime model)."""
    document = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
    headers = {"content-type": _JSON, "x-amzn-errortype": error.code}
    return error.status, headers, json.dumps(document, default=_epoch).encode()


def _epoch(value: Any) -> Any:
    """JSON 1.1 carries timestamps as epoch seconds."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not JSON")
