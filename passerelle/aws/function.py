"""What every Lambda handler shares: structured logs with the run's fields, and settings read once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aws_lambda_powertools import Logger

from passerelle.errors import PasserelleError
from passerelle.settings import FunctionSettings

SettingsT = TypeVar("SettingsT", bound=FunctionSettings)
Event = dict[str, Any]
_FIELDS: Final = ("project", "run_id", "attempt")


def handler(
    service: str, settings_type: type[SettingsT]
) -> Callable[[Callable[[Event, SettingsT, Any], Event]], Callable[[Event, Any], Event]]:
    """Make a Lambda handler of a function of (event, settings, context).

    An exception's class name reaches Step Functions as the error's name, so nothing is wrapped here; what we raise on
    purpose is logged as a warning, anything else with its traceback.
    """
    logger = Logger(service=service)

    def decorate(function: Callable[[Event, SettingsT, Any], Event]) -> Callable[[Event, Any], Event]:
        @functools.cache
        def settings() -> SettingsT:
            return settings_type.from_env()

        @functools.wraps(function)
        def handle(event: Event, context: Any) -> Event:
            logger.structure_logs(append=True, **{name: event[name] for name in _FIELDS if name in event})
            try:
                answer = function(event, settings(), context)
            except PasserelleError as error:
                logger.warning(str(error), extra={"error": type(error).__name__})
                raise
            except Exception:
                logger.exception("defect")
                raise
            summary = {key: value for key, value in answer.items() if isinstance(value, str | int | float)}
            logger.info("done", extra={"answer": summary})
            return answer

        return handle

    return decorate
