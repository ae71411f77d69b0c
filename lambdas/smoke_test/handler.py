"""Ask the new endpoint for the model's own example."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import SmokeTestSettings
from passerelle.steps.smoke_test import smoke_test


@lambda_handler("smoke_test", SmokeTestSettings)
def handler(event: Event, settings: SmokeTestSettings, context: Any) -> Event:
    """Call the step."""
    return smoke_test(event, settings)
