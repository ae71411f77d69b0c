"""Log the run to MLflow and register its model."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RegisterModelSettings
from passerelle.steps.register_model import register_model


@lambda_handler("register_model", RegisterModelSettings)
def handler(event: Event, settings: RegisterModelSettings, context: Any) -> Event:
    """Call the step."""
    return register_model(event, settings)
