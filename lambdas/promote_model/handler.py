"""Make the served model the champion."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import PromoteModelSettings
from passerelle.steps.promote_model import promote_model


@lambda_handler("promote_model", PromoteModelSettings)
def handler(event: Event, settings: PromoteModelSettings, context: Any) -> Event:
    """Call the step."""
    return promote_model(event, settings)
