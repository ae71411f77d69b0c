"""First state of the pipeline: close the batch and plan `prepare`."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import GatherDropSettings
from passerelle.steps.gather_drop import gather_drop


@lambda_handler("gather_drop", GatherDropSettings)
def handler(event: Event, settings: GatherDropSettings, context: Any) -> Event:
    """Call the step."""
    return gather_drop(event, settings, execution_arn=event.get("execution_arn", ""))
