"""Write down that an A/B test has begun."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import BeginExperimentSettings
from passerelle.steps.begin_experiment import begin_experiment


@lambda_handler("begin_experiment", BeginExperimentSettings)
def handler(event: Event, settings: BeginExperimentSettings, context: Any) -> Event:
    """Call the step."""
    return begin_experiment(event, settings)
