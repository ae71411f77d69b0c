"""Last state of the pipeline: final status, lock released."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import CloseRunSettings
from passerelle.steps.close_run import close_run


@lambda_handler("close_run", CloseRunSettings)
def handler(event: Event, settings: CloseRunSettings, context: Any) -> Event:
    """Call the step."""
    return close_run(event, settings)
