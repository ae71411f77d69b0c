"""Executions that failed, timed out or were aborted: say why in the run."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import FailRunSettings
from passerelle.steps.fail_run import fail_run


@lambda_handler("fail_run", FailRunSettings)
def handler(event: Event, settings: FailRunSettings, context: Any) -> Event:
    """Call the step."""
    return fail_run(event, settings)
