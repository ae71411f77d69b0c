"""Judge how a challenger did in the shadow."""

from __future__ import annotations

from typing import Any

from passerelle.aws.function import Event
from passerelle.aws.function import handler as lambda_handler
from passerelle.settings import JudgeShadowSettings
from passerelle.steps.judge_shadow import judge_shadow


@lambda_handler("judge_shadow", JudgeShadowSettings)
def handler(event: Event, settings: JudgeShadowSettings, context: Any) -> Event:
    """Call the step."""
    return judge_shadow(event, settings)
