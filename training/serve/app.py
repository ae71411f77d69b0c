"""The HTTP application: SageMaker's container contract, as an RSGI callable."""

from __future__ import annotations

import asyncio
import csv
import functools
import io
from typing import Any, Final

import orjson

from passerelle.contracts.bundle import BundleSignature
from training.serve.errors import RequestError
from training.serve.inputs import check_inputs
from training.serve.request import MAX_BYTES, read_body
from training.serve.scorer import Scorer

JSON: Final = "application/json"
LARGE_BYTES: Final = 64 * 1024
_ACCEPTED: Final = (JSON, "text/csv", "application/jsonlines")
_PATHS: Final = {"/ping": ("GET",), "/invocations": ("POST",), "/version": ("GET",), "/openapi.json": ("GET",)}
_INFERENCE_ID: Final = "x-amzn-sagemaker-inference-id"

Answer = tuple[int, list[tuple[str, str]], bytes]


class Application:
    """Answers requests with one scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request (RSGI, the interface of Granian)."""
        headers = scope.headers
        declared = headers.get("content-length") or "0"
        if declared.isdigit() and int(declared) > MAX_BYTES:  # refused before it fills the memory
            error = RequestError(413, "too_large", f"the body has {declared} bytes; the limit is {MAX_BYTES:,}")
            protocol.response_bytes(413, [("content-type", JSON)], orjson.dumps(error.document()))
            return
        body = await protocol() if scope.method == "POST" else b""
        call = functools.partial(
            self.answer,
            scope.method,
            scope.path,
            body,
            content_type=headers.get("content-type") or JSON,
            accept=headers.get("accept") or JSON,
            inference_id=headers.get(_INFERENCE_ID),
        )
        # A large batch must not keep /ping waiting: SageMaker gives it two seconds.
        large = len(body) > LARGE_BYTES
        status, answered, content = await asyncio.to_thread(call) if large else call()
        protocol.response_bytes(status, answered, content)

    def answer(
        self, method: str, path: str, body: bytes, *, content_type: str, accept: str, inference_id: str | None
    ) -> Answer:
        """Return (status, headers, body); never raises."""
        try:
            if path not in _PATHS:
                raise RequestError(404, "not_found", f"no such path; there are {', '.join(_PATHS)}")
            if method not in _PATHS[path]:
                raise RequestError(405, "wrong_method", f"{path} takes {' or '.join(_PATHS[path])}")
            if path == "/invocations":
                return self._invoke(body, content_type, accept, inference_id)
            if path == "/ping":
                return 200, [], b""
            document = self._about() if path == "/version" else openapi(self._scorer.bundle.signature)
            return 200, [("content-type", JSON)], orjson.dumps(document)
        except RequestError as error:
            allow = [("allow", ", ".join(_PATHS[path]))] if error.status == 405 else []
            return error.status, [("content-type", JSON), *allow], orjson.dumps(error.document())
        except Exception as error:  # a defect must not take the process, nor the other callers, with it
            print(orjson.dumps({"event": "defect", "error": f"{type(error).__name__}: {error}"}).decode(), flush=True)
            details = {"code": "internal", "message": "the model could not answer; its log says why"}
            return 500, [("content-type", JSON)], orjson.dumps({"error": details})

    def _invoke(self, body: bytes, content_type: str, accept: str, inference_id: str | None) -> Answer:
        kind = _choose_kind(accept)
        columns, warnings = check_inputs(read_body(body, content_type, self._scorer.inputs), self._scorer.inputs)
        answer = self._scorer.score(columns)
        if warnings:
            answer["warnings"] = warnings
        headers = [("content-type", kind)]
        if inference_id:
            headers.append((_INFERENCE_ID, inference_id))
            answer["inference_id"] = inference_id
        return 200, headers, _render(answer, kind)

    def _about(self) -> dict[str, Any]:
        return self._scorer.bundle.metadata.model_dump(mode="json")


def _choose_kind(accept: str) -> str:
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for kind in wanted:
        if kind in ("*/*", "application/*", ""):
            return JSON
        if kind in _ACCEPTED:
            return kind
    raise RequestError(406, "not_acceptable", f"{accept!r} is not offered; use {', '.join(_ACCEPTED)}")


def _render(answer: dict[str, Any], kind: str) -> bytes:
    if kind == JSON:
        return orjson.dumps(answer)
    rows = answer.get("probabilities") or [[] for _ in answer["predictions"]]
    if kind == "application/jsonlines":
        lines = [
            orjson.dumps({"prediction": prediction, **({"probabilities": shares} if shares else {})})
            for prediction, shares in zip(answer["predictions"], rows, strict=True)
        ]
        return b"\n".join(lines) + b"\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([prediction, *shares] for prediction, shares in zip(answer["predictions"], rows, strict=True))
    return text.getvalue().encode()


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
    request = {"type": "object", "properties": {"dataframe_records": rows}, "required": ["dataframe_records"]}
    responses = {
        "200": {"description": "predictions"},
        "400": {"description": "the request is wrong; field and row are named"},
        "413": {"description": "the body is too large"},
        "415": {"description": "the content type is not read"},
    }
    invoke = {"requestBody": {"content": {JSON: {"schema": request}}}, "responses": responses}
    ping = {"responses": {"200": {"description": "the model answers"}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Passerelle model", "version": "1"},
        "paths": {"/invocations": {"post": invoke}, "/ping": {"get": ping}},
        "components": {"schemas": {"Row": row}},
    }
