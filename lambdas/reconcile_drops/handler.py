"""On a schedule: what events have missed."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import ReconcileDropsSettings
from passerelle.steps.reconcile_drops import reconcile_drops


@lambda_handler("reconcile_drops", ReconcileDropsSettings)
def handler(event: Event, settings: ReconcileDropsSettings, context: Any) -> Event:
    """Call the step."""
    return reconcile_drops(settings)
