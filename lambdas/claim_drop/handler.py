"""S3 "Object Created" events of the raw zone: claim the object, start or join a batch."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import ClaimDropSettings
from passerelle.steps.claim_drop import claim_drop


@lambda_handler("claim_drop", ClaimDropSettings)
def handler(event: Event, settings: ClaimDropSettings, context: Any) -> Event:
    """Call the step."""
    return claim_drop(event, settings)
