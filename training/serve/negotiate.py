"""In which form an answer goes out: the caller's Accept header, and the forms themselves."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import orjson

from training.serve.errors import RequestError
from training.serve.request import CSV, JSON, JSON_LINES

_KINDS: Final = {JSON: JSON, CSV: CSV, **dict.fromkeys(JSON_LINES, JSON_LINES[0])}
_WILD: Final = {"*/*": JSON, "application/*": JSON, "text/*": CSV, "": JSON}


def choose_kind(accept: str, default: str) -> str:
    """Return the content type of the answer: of those that the caller takes, the one it likes best (RFC 9110, 12.5.1).

    Raises RequestError with status 406 when there is none.
    """
    wanted = accept.strip() or default
    if wanted in _KINDS:
        return _KINDS[wanted]
    ranked = sorted(map(_parse, wanted.split(",")), key=lambda pair: -pair[1])  # stable: the first of equals wins
    for kind, weight in ranked:
        if kind == "*/*" and default in _KINDS and weight > 0:
            return _KINDS[default]
        found = _KINDS.get(kind) or _WILD.get(kind)
        if found and weight > 0:
            return found
    message = f"none of {accept!r} is offered"
    raise RequestError(406, "not_acceptable", message, f"Accept one of {JSON}, {CSV}, {JSON_LINES[0]}.")


def _parse(part: str) -> tuple[str, float]:
    kind, *parameters = part.split(";")
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return kind.strip().lower(), weight


def render(answer: dict[str, Any], kind: str) -> bytes:
    """Return the answer's body: all of it as JSON, or a row for a row as JSON lines or CSV without a header."""
    if kind == JSON:
        return orjson.dumps(answer)
    if kind == CSV:
        return _csv(answer["predictions"], answer.get("probabilities"))
    rows = answer.get("probabilities") or [[] for _ in answer["predictions"]]
    lines = [
        orjson.dumps({"prediction": prediction, **({"probabilities": shares} if shares else {})})
        for prediction, shares in zip(answer["predictions"], rows, strict=True)
    ]
    return b"\n".join(lines) + b"\n"


def _csv(predictions: list[Any], shares: list[list[float]] | None) -> bytes:
    """Return a line for each prediction, a class's with its probabilities; orjson writes numbers many times as fast."""
    if not shares:
        return orjson.dumps(predictions)[1:-1].replace(b",", b"\n") + b"\n"
    labels = {label: _field(label) for label in set(predictions)}
    numbers = orjson.dumps(shares)[2:-2].split(b"],[")
    return b"".join(b"%b,%b\n" % (labels[label], line) for label, line in zip(predictions, numbers, strict=True))


def _field(value: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([value])
    return text.getvalue().encode()
