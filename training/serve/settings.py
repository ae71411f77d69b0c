"""What the container's environment says about serving: SageMaker's variables, and our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.prediction import LOG_VARIABLE
from passerelle.errors import SettingsError

PORT_VARIABLE: Final = "SAGEMAKER_BIND_TO_PORT"
HOST_VARIABLE: Final = "PASSERELLE_BIND_HOST"
WORKERS_VARIABLE: Final = "SAGEMAKER_MODEL_SERVER_WORKERS"
PAYLOAD_VARIABLE: Final = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
#: Ours, set by the deployment of a project that has a model.py; without it no bundle's code is run.
CODE_VARIABLE: Final = "PASSERELLE_PROJECT_CODE"
ACCEPT_VARIABLE: Final = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
#: InvokeEndpoint's limit: 6 MiB.
DEFAULT_PAYLOAD_MB: Final = 6
MAX_PAYLOAD_MB: Final = 1_024
MAX_WORKERS: Final = 128
#: CreateTransformJob: neither MaxPayloadInMB nor its product with MaxConcurrentTransforms may be more.
TRANSFORM_MB: Final = 100


@dataclass(frozen=True)
class ServeSettings:
    """Where to listen, with how many processes, and what to take."""

    host: str = "0.0.0.0"
    port: int = 8080
    workers: int = 1
    max_bytes: int = DEFAULT_PAYLOAD_MB * 1024**2
    default_accept: str = "application/json"
    project_code: bool = False
    #: None: predictions are not logged; else what is logged besides the model's inputs where a request has it.
    logged_columns: tuple[str, ...] | None = None

    def execution_parameters(self) -> dict[str, Any]:
        """Return what suits a batch transform job (developer guide, "How Containers Serve Requests").

        A worker answers one large request at a time, and rows are scored together: many records a request.
        """
        payload = min(self.max_bytes // 1024**2, TRANSFORM_MB)
        return {
            "MaxConcurrentTransforms": max(1, min(self.workers, TRANSFORM_MB // payload)),
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": payload,
        }


def read_settings(environment: Mapping[str, str]) -> ServeSettings:
    """Return the settings; the names are those of SageMaker's inference toolkit (sagemaker-inference, parameters.py).

    One worker unless told otherwise: a second one is a second copy of the model in memory. A batch transform job whose
    MaxPayloadInMB is 0 says so here, and means that it knows no limit.

    Raises SettingsError naming the variable, its value and what would be valid.
    """
    return ServeSettings(
        host=environment.get(HOST_VARIABLE) or "0.0.0.0",
        port=_whole(environment, PORT_VARIABLE, 8080, 1, 65_535),
        workers=_whole(environment, WORKERS_VARIABLE, 1, 1, MAX_WORKERS),
        max_bytes=(_whole(environment, PAYLOAD_VARIABLE, DEFAULT_PAYLOAD_MB, 0, MAX_PAYLOAD_MB) or MAX_PAYLOAD_MB)
        * 1024**2,
        default_accept=environment.get(ACCEPT_VARIABLE) or "application/json",
        project_code=environment.get(CODE_VARIABLE) == "allowed",
        logged_columns=_names(environment, LOG_VARIABLE),
    )


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise SettingsError(f"{name} is {text!r}; it must be a JSON list of column names, [] for none.")
    return tuple(names)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {least} to {most:,}.")
    return int(text)
