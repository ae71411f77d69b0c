"""After `prepare`: accept or reject, and plan `train`."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordDatasetSettings
from passerelle.steps.record_dataset import record_dataset


@lambda_handler("record_dataset", RecordDatasetSettings)
def handler(event: Event, settings: RecordDatasetSettings, context: Any) -> Event:
    """Call the step."""
    return record_dataset(event, settings)
