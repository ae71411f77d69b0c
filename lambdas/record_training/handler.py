"""After `train`: read the candidates, and plan `evaluate`."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordTrainingSettings
from passerelle.steps.record_training import record_training


@lambda_handler("record_training", RecordTrainingSettings)
def handler(event: Event, settings: RecordTrainingSettings, context: Any) -> Event:
    """Call the step."""
    return record_training(event, settings)
