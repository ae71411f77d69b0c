"""The HTTP application: SageMaker's container contract, as an ASGI callable."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson

from passerelle.contracts.bundle import BundleSignature
from training.serve.errors import RequestError, error_document
from training.serve.explain import MAX_EXPLAINED_ROWS, RowExplainer, wants_explanation
from training.serve.inputs import check_inputs
from training.serve.negotiate import choose_kind, render
from training.serve.prediction_log import log_predictions
from training.serve.request import JSON, read_body
from training.serve.request_log import Answer, log_defect, log_request
from training.serve.scorer import Scorer
from training.serve.settings import ServeSettings
from training.serve.typed import Checked, TypedReader

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGE_BYTES: Final = 64 * 1024
#: So much of a body that is too large is read and thrown away, so that the caller hears the answer.
MAX_DISCARDED_BYTES: Final = 256 * 1024**2
MAX_ID_CHARACTERS: Final = 64
#: nginx's status for a caller that hung up; nobody receives it.
CLIENT_GONE: Final = 499
_PATHS: Final = {
    "/ping": ("GET",),
    "/invocations": ("POST",),
    "/execution-parameters": ("GET",),
    "/version": ("GET",),
    "/openapi.json": ("GET",),
}
_INFERENCE_ID: Final = b"x-amzn-sagemaker-inference-id"
_CUSTOM_ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"


class _CallerGoneError(Exception):
    """The caller hung up before its body had come."""


class Application:
    """Answers requests with one scorer."""

    def __init__(self, scorer: Scorer, settings: ServeSettings) -> None:
        self._scorer, self._settings = scorer, settings
        self._explainer = RowExplainer(scorer.bundle)
        self._null_words = frozenset(("", *scorer.bundle.signature.null_values))
        self._typed = TypedReader(scorer.inputs, self._null_words)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, and log it."""
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path, inference_id = scope["path"], _inference_id(headers)
        request_id = inference_id or os.urandom(16).hex()
        try:
            answer = await self._respond(scope["method"], path, headers, receive, request_id, inference_id)
            await send({"type": "http.response.start", "status": answer.status, "headers": _sent_headers(answer)})
            await send({"type": "http.response.body", "body": answer.body})
        except _CallerGoneError:
            answer = Answer(CLIENT_GONE, [], b"", code="client_gone")
        if path != "/ping" or answer.status != 200:  # a good ping every few seconds would bury the requests
            milliseconds = (time.perf_counter() - started) * 1_000
            log_request(path, answer, milliseconds, request_id)

    async def _respond(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        request_id: str,
        inference_id: str | None,
    ) -> Answer:
        try:
            body = await self._receive(receive) if method == "POST" else b""
        except RequestError as error:
            return _refusal(error, request_id, [])
        kind, accept = _header(headers, b"content-type") or JSON, _header(headers, b"accept")
        explain = wants_explanation(_header(headers, _CUSTOM_ATTRIBUTES))
        arguments = (method, path, body, kind, accept, request_id, inference_id, explain)
        # What takes long must not keep /ping waiting: SageMaker gives it two seconds.
        large = len(body) > LARGE_BYTES or explain or b'"explain"' in body
        answer = await asyncio.to_thread(self.answer, *arguments) if large else self.answer(*arguments)
        if inference_id:
            answer.headers.append((_INFERENCE_ID.decode(), inference_id))
        return answer

    async def _receive(self, receive: Receive) -> bytes:
        """Return the body, never holding more of it than is allowed."""
        limit = self._settings.max_bytes
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= MAX_DISCARDED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _CallerGoneError
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= limit:
                parts.append(part)
            else:
                parts.clear()
        if size > limit:
            text = f"the body is larger than {limit:,} bytes"
            raise RequestError(413, "too_large", text, "Send fewer rows a request, or use a batch transform job.")
        return b"".join(parts)

    def answer(
        self,
        method: str,
        path: str,
        body: bytes,
        content_type: str,
        accept: str,
        request_id: str,
        inference_id: str | None,
        explain: bool = False,
    ) -> Answer:
        """Return the answer to a request; never raises."""
        try:
            if path not in _PATHS:
                raise RequestError(404, "not_found", f"there is no {path[:100]!r}", f"Use {', '.join(_PATHS)}.")
            if method not in _PATHS[path]:
                message = f"{path} does not take {method[:20]}"
                raise RequestError(405, "wrong_method", message, f"Use {' or '.join(_PATHS[path])}.")
            if path == "/invocations":
                return self._invoke(body, content_type, accept, request_id, inference_id, explain)
            if path == "/ping":
                return Answer(200, [], b"")
            return Answer(200, [("content-type", JSON)], orjson.dumps(self._told(path)))
        except RequestError as error:
            allow = [("allow", ", ".join(_PATHS[path]))] if error.status == 405 else []
            return _refusal(error, request_id, allow)
        except Exception as error:  # a defect must not take the process, nor the other callers, with it
            log_defect(error, request_id)
            message = "the model could not answer"
            remedy = "Give the request id to the model's owner: the log names the place."
            return _refusal(RequestError(500, "internal", message, remedy), request_id, [])

    def _invoke(
        self, body: bytes, content_type: str, accept: str, request_id: str, inference_id: str | None, explain: bool
    ) -> Answer:
        started, also = time.perf_counter(), self._settings.logged_columns
        kind = choose_kind(accept, self._settings.default_accept)
        checked = self._typed.read(body) if content_type == JSON else None
        warnings: list[str] = []
        logged: dict[str, Any] = {}
        if checked is None:
            table = read_body(body, content_type, self._scorer.inputs, also or ())
            logged = {name: table.columns[name] for name in also or () if name in table.columns}
            columns, warnings = check_inputs(table, self._scorer.inputs, self._null_words)
            checked = Checked(columns, table.rows, table.explain)
        seen = self._scorer.model_columns(checked.columns)
        document = self._scorer.answer(seen)
        if explain or checked.explain:
            if kind != JSON:
                raise RequestError(406, "not_acceptable", f"{kind} has no place for explanations", f"Accept {JSON}.")
            document |= self._explainer.explain(seen, document["predictions"])
        if warnings:
            document["warnings"] = warnings
        if inference_id:
            document["inference_id"] = inference_id
        if also is not None:
            milliseconds = (time.perf_counter() - started) * 1_000
            log_predictions(logged | checked.columns, document, request_id, milliseconds)
        return Answer(200, [("content-type", kind)], render(document, kind), checked.rows)

    def _told(self, path: str) -> dict[str, Any]:
        """Return what the server tells about itself at a path."""
        if path == "/execution-parameters":
            return self._settings.execution_parameters()
        if path == "/version":
            return self._scorer.bundle.metadata.to_dict()
        return openapi(self._scorer.bundle.signature)


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """Return a header's value, empty when it is not there (RFC 9110, 5.5: bytes beyond ASCII are Latin-1's)."""
    return headers.get(name, b"").decode("latin-1")


def _inference_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the caller's id when it is one that InvokeEndpoint would pass on."""
    given = _header(headers, _INFERENCE_ID)
    return given if given and len(given) <= MAX_ID_CHARACTERS and given.isascii() and given.isprintable() else None


def _sent_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return [*sent, (b"content-length", b"%d" % len(answer.body))]


def _refusal(error: RequestError, request_id: str, headers: list[tuple[str, str]]) -> Answer:
    body = orjson.dumps(error_document(error, request_id))
    return Answer(error.status, [("content-type", JSON), *headers], body, code=error.code)


_TEXT: Final = {"type": "string"}
_ERROR_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": dict.fromkeys(("code", "message", "remedy", "field", "request_id"), _TEXT)
            | {"row": {"type": "integer", "minimum": 0, "description": "counted from 0"}},
            "required": ["code", "message", "remedy", "request_id"],
        }
    },
}


def openapi(signature: BundleSignature) -> dict[str, Any]:
    """Return the OpenAPI document of this model: its inputs by name and type."""
    types = {"integer": "integer", "number": "number", "boolean": "boolean"}
    properties = {
        column.name: {"type": types.get(column.type, "string"), "nullable": column.nullable}
        | ({"format": "date-time"} if column.type == "datetime" else {})
        for column in signature.inputs
    }
    row = {
        "type": "object",
        "properties": properties,
        "required": [column.name for column in signature.inputs if not column.nullable],
    }
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1}
    explain = {"type": "boolean", "description": f"explain each row, of at most {MAX_EXPLAINED_ROWS}"}
    properties_of_request = {"dataframe_records": rows, "explain": explain}
    request = {"type": "object", "properties": properties_of_request, "required": ["dataframe_records"]}
    refusal = {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    responses = {
        "200": {"description": "predictions, with explain also explanations"},
        "400": {"description": "the request is wrong; code, field, row and remedy say where and what to do"} | refusal,
        "406": {"description": "the form that Accept asks for is not offered"} | refusal,
        "413": {"description": "the body is too large"} | refusal,
        "415": {"description": "the content type is not read"} | refusal,
    }
    invoke = {"requestBody": {"content": {JSON: {"schema": request}}}, "responses": responses}
    ping = {"responses": {"200": {"description": "the model answers"}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Passerelle model", "version": "1"},
        "paths": {"/invocations": {"post": invoke}, "/ping": {"get": ping}},
        "components": {"schemas": {"Row": row, "Error": _ERROR_SCHEMA}},
    }
