"""After `evaluate`: the gate's verdict."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordEvaluationSettings
from passerelle.steps.record_evaluation import record_evaluation


@lambda_handler("record_evaluation", RecordEvaluationSettings)
def handler(event: Event, settings: RecordEvaluationSettings, context: Any) -> Event:
    """Call the step."""
    return record_evaluation(event, settings)
