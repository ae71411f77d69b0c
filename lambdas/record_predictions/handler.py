"""S3 "Object Created" events of the predictions zone: make records of what an endpoint captured."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordPredictionsSettings
from passerelle.steps.record_predictions import record_predictions


@lambda_handler("record_predictions", RecordPredictionsSettings)
def handler(event: Event, settings: RecordPredictionsSettings, context: Any) -> Event:
    """Call the step."""
    return record_predictions(event, settings)
