"""After a tuning job: keep its trials, and plan the next one, or `train`."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordTuningSettings
from passerelle.steps.record_tuning import record_tuning


@lambda_handler("record_tuning", RecordTuningSettings)
def handler(event: Event, settings: RecordTuningSettings, context: Any) -> Event:
    """Call the step."""
    return record_tuning(event, settings)
