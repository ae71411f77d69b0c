"""State JoinLabels of the machine watch_project: give predictions the labels that drops have told since."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import JoinLabelsSettings
from passerelle.steps.join_labels import join_labels


@lambda_handler("join_labels", JoinLabelsSettings)
def handler(event: Event, settings: JoinLabelsSettings, context: Any) -> Event:
    """Call the step."""
    return join_labels(event, settings)
