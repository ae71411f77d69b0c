"""Ask a new endpoint for the model's own example before anyone relies on it."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.endpoints import ask
from passerelle.aws.objects import Objects
from passerelle.contracts.bundle import EXAMPLE_FILE
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import JobFailedError
from passerelle.settings import SmokeTestSettings

TOLERANCE: Final = 1e-6


def smoke_test(request: dict[str, Any], settings: SmokeTestSettings) -> dict[str, Any]:
    """Return the request when the endpoint gives what training gave for the same rows.

    Raises JobFailedError when it answers otherwise, or not at all.
    """
    example = _read_example(request["model_data_url"])
    body = json.dumps({"dataframe_split": example["dataframe_split"]}).encode()
    name = request["endpoint_name"]
    given = json.loads(ask(name, body))
    for key in ("probabilities", "predictions"):
        if key in example and not _close(given.get(key), example[key]):
            raise JobFailedError(f"Endpoint {name} gives {key} {given.get(key)} where training gave {example[key]}.")
    return request


def _read_example(uri: str) -> dict[str, Any]:
    archive = Objects(client("s3")).read(*split_s3_uri(uri))
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        member = tar.extractfile(EXAMPLE_FILE)
        if member is None:
            raise JobFailedError(f"{uri} holds no {EXAMPLE_FILE}.")
        document = json.load(member)
    assert isinstance(document, dict)
    return document


def _close(given: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        same_length = isinstance(given, list) and len(given) == len(expected)
        return same_length and all(_close(a, b) for a, b in zip(given, expected, strict=True))
    if isinstance(expected, float):
        return isinstance(given, int | float) and abs(given - expected) <= TOLERANCE * max(1.0, abs(expected))
    return bool(given == expected)
