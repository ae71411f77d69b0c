"""Keep what the shadow showed of a challenger."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import RecordShadowSettings
from passerelle.steps.record_shadow import record_shadow


@lambda_handler("record_shadow", RecordShadowSettings)
def handler(event: Event, settings: RecordShadowSettings, context: Any) -> Event:
    """Call the step."""
    return record_shadow(event, settings)
