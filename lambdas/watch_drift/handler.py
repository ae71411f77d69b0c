"""State WatchDrift of the machine watch_project: judge a project's windows of predictions."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import WatchDriftSettings
from passerelle.steps.watch_drift import watch_drift


@lambda_handler("watch_drift", WatchDriftSettings)
def handler(event: Event, settings: WatchDriftSettings, context: Any) -> Event:
    """Call the step."""
    return watch_drift(event, settings)
