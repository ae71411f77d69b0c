"""A request with its answer, as SageMaker's data capture writes it: one JSON line each.

Source: SageMaker developer guide, "Capture data from real-time endpoint"; API reference, CaptureContentTypeHeader
(content types that are not listed are captured as BASE64).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from passerelle.errors import InputError


class BrokenExchangeError(InputError):
    """What was captured cannot be read as predictions; the message says why, and quotes no value of it."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What was asked, or what was answered."""

    content_type: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer; `moment` is UTC without an offset, as prepared data has its times."""

    inference_id: str
    moment: datetime
    asked: Side
    answered: Side
    latency_ms: float | None = None
    #: Which row of the request is the first of these.
    first_row: int = 0


def read_captured(line: bytes) -> Exchange:
    """Return the exchange of one captured line.

    Raises BrokenExchangeError.
    """
    document = parsed(line, "the line")
    try:
        data, about = document["captureData"], document["eventMetadata"]
        return Exchange(
            # The caller's own id wins over SageMaker's (developer guide, "Ingest Ground Truth labels and merge").
            inference_id=str(about.get("inferenceId") or about["eventId"]),
            moment=read_moment(about["inferenceTime"]),
            asked=_side(data["endpointInput"]),
            answered=_side(data["endpointOutput"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenExchangeError(f"not a captured request with its answer: {type(error).__name__} {error}") from error


def read_logged(line: str) -> Exchange:
    """Return the exchange, or the part of one, of a line that the server logged (`training.serve.prediction_log`).

    Raises BrokenExchangeError.
    """
    document = parsed(line, "the line")
    try:
        if "too_large" in document:
            raise BrokenExchangeError(f"a row of {document['too_large']} bytes, more than a line of the log may have")
        values, predictions, shares, decisions = zip(*document["rows"], strict=True)
        asked = {"dataframe_split": {"columns": document["columns"], "data": values}}
        answered = {
            "predictions": predictions,
            "probabilities": None if shares[0] is None else shares,
            "decisions": None if decisions[0] is None else decisions,
            "threshold": document["threshold"],
            "model": {"run_id": document["run_id"], "version": document["version"]},
        }
        return Exchange(
            inference_id=str(document["inference_id"]),
            moment=read_moment(document["time"]),
            asked=_json_side(asked),
            answered=_json_side(answered),
            latency_ms=float(document["ms"]),
            first_row=int(document["first_row"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BrokenExchangeError(f"not a logged prediction: {type(error).__name__}") from error


def parsed(text: bytes | str, what: str) -> Any:
    """Return what a JSON text says.

    Raises BrokenExchangeError.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenExchangeError(f"{what} is not JSON: {type(error).__name__}") from error


def read_moment(text: Any) -> datetime:
    """Return an ISO 8601 time in UTC, without its offset.

    Raises BrokenExchangeError.
    """
    try:
        moment = datetime.fromisoformat(str(text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise BrokenExchangeError("the time of the event is not ISO 8601") from error


def _side(captured: Mapping[str, Any]) -> Side:
    text, encoding = captured["data"], captured["encoding"]
    try:
        body = base64.b64decode(text, validate=True) if encoding == "BASE64" else str(text).encode()
    except (binascii.Error, ValueError) as error:
        raise BrokenExchangeError(f"the data is not {encoding}") from error
    return Side(content_type=str(captured.get("observedContentType") or _PLAIN.get(encoding, "")), body=body)


def _json_side(document: Mapping[str, Any]) -> Side:
    return Side(content_type=_PLAIN["JSON"], body=json.dumps(document).encode())


_PLAIN = {"JSON": "application/json", "CSV": "text/csv"}
