"""A Lambda function behind a CloudFormation resource: it must answer in every case, or the stack waits for an hour."""

from __future__ import annotations

import functools
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aws_lambda_powertools import Logger

from passerelle.errors import PasserelleError
from passerelle.settings import FunctionSettings

SettingsT = TypeVar("SettingsT", bound=FunctionSettings)
#: CloudFormation takes answers of 4,096 bytes (user guide, "Custom resource response objects").
MAX_REASON: Final = 1_500
#: What must remain of the function's time to tell CloudFormation that it did not suffice.
RESERVE_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Resource:
    """What the stack asks for: the properties, and until when (time.monotonic) the answer must be known."""

    properties: Mapping[str, Any]
    deadline: float


@dataclass(frozen=True)
class Made:
    """What was made: an id that changes only when something new replaces the old, and attributes for Fn::GetAtt."""

    physical_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def custom_resource(
    service: str, settings_type: type[SettingsT]
) -> Callable[[Callable[[Resource, SettingsT], Made]], Callable[[dict[str, Any], Any], None]]:
    """Make a handler of a function of (resource, settings). Deleting the resource needs nothing to be done."""
    logger = Logger(service=service)

    def decorate(function: Callable[[Resource, SettingsT], Made]) -> Callable[[dict[str, Any], Any], None]:
        @functools.wraps(function)
        def handle(event: dict[str, Any], context: Any) -> None:
            physical = event.get("PhysicalResourceId") or f"{service}-not-made"
            made, reason = Made(physical), None
            try:
                if event["RequestType"] != "Delete":
                    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
                    resource = Resource(event["ResourceProperties"], deadline)
                    made = function(resource, settings_type.from_env())
            except PasserelleError as error:
                reason = str(error)
                logger.warning(reason)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                logger.exception("defect")
            _answer(event, made, reason)

        return handle

    return decorate


def _answer(event: Mapping[str, Any], made: Made, reason: str | None) -> None:
    document = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": (reason or "done")[:MAX_REASON],
        "PhysicalResourceId": made.physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": dict(made.attributes),
    }
    # The URL is signed for an empty content type.
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(document).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=15):
        pass
