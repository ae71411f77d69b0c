"""First state of a deployment: what to create."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import PlanDeploymentSettings
from passerelle.steps.plan_deployment import plan_deployment


@lambda_handler("plan_deployment", PlanDeploymentSettings)
def handler(event: Event, settings: PlanDeploymentSettings, context: Any) -> Event:
    """Call the step."""
    return plan_deployment(event, settings)
