"""Ask a new endpoint for the model's own example before anyone relies on it."""

from __future__ import annotations

import json
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.endpoints import ask
from passerelle.aws.objects import Objects
from passerelle.contracts import naming
from passerelle.contracts.bundle import EXAMPLE_FILE
from passerelle.contracts.variants import SHADOW_VARIANT
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import BundleError, JobFailedError
from passerelle.settings import SmokeTestSettings
from passerelle.steps.archives import read_member

TOLERANCE: Final = 1e-6
_COMPARED: Final = ("probabilities", "predictions")


def smoke_test(request: dict[str, Any], settings: SmokeTestSettings) -> dict[str, Any]:
    """Return the request when the endpoint gives what training gave for the same rows.

    Raises JobFailedError when it answers otherwise, or not at all; BundleError when the bundle says nothing to compare.
    """
    example = _read_example(request["model_data_url"])
    body = json.dumps({"dataframe_split": example["dataframe_split"]}).encode()
    name = naming.endpoint_name(settings.environment, request["project"])
    variant = SHADOW_VARIANT if request["change"]["phase"] == "experiment" else None
    given = _parse(name, ask(name, body, component=request.get("component", {}).get("name"), variant=variant))
    for key in _COMPARED:
        if key in example and not _close(given.get(key), example[key]):
            raise JobFailedError(
                f"Endpoint {name} gives {key} {given.get(key)} where training gave {example[key]}. The serving image "
                "is not of the version that trained the model, or the bundle was changed: deploy, then retry the run."
            )
    return request


def _read_example(uri: str) -> dict[str, Any]:
    bucket, key = split_s3_uri(uri)
    text = read_member(Objects(client("s3")), bucket, key, EXAMPLE_FILE)
    example = None if text is None else json.loads(text)
    if not isinstance(example, dict) or "dataframe_split" not in example or not set(_COMPARED) & set(example):
        raise BundleError(
            f"{uri} holds no {EXAMPLE_FILE} with rows and their predictions, so the endpoint cannot be tried before "
            "anyone relies on it. Retry the run to train the model again."
        )
    return example


def _parse(endpoint: str, answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise JobFailedError(f"Endpoint {endpoint} answers the model's own example with {answer[:200]!r}, not JSON.")
    return document


def _close(given: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        same_length = isinstance(given, list) and len(given) == len(expected)
        return same_length and all(_close(a, b) for a, b in zip(given, expected, strict=True))
    if isinstance(expected, float):
        return isinstance(given, int | float) and abs(given - expected) <= TOLERANCE * max(1.0, abs(expected))
    return bool(given == expected)
