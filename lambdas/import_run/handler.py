"""First state of carrying a model: take it over from the environment that trained it."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import ImportRunSettings
from passerelle.steps.import_run import import_run


@lambda_handler("import_run", ImportRunSettings)
def handler(event: Event, settings: ImportRunSettings, context: Any) -> Event:
    """Call the step."""
    return import_run(event, settings, execution_arn=event.get("execution_arn", ""))
