"""State LogWindows of the machine watch_project: show in MLflow, with each model's run, what its windows showed."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import LogWindowsSettings
from passerelle.steps.log_windows import log_windows


@lambda_handler("log_windows", LogWindowsSettings)
def handler(event: Event, settings: LogWindowsSettings, context: Any) -> Event:
    """Call the step."""
    return log_windows(event, settings)
