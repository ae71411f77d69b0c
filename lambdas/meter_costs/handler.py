"""Schedule, or whoever asks for a day or a month: write the ledger of what things did cost."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import MeterCostsSettings
from passerelle.steps.meter_costs import meter_costs


@lambda_handler("meter_costs", MeterCostsSettings)
def handler(event: Event, settings: MeterCostsSettings, context: Any) -> Event:
    """Call the step."""
    return meter_costs(event, settings)
