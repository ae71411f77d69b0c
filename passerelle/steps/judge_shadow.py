"""Let a challenger that did well in the shadow take over, or have it withdrawn."""

from __future__ import annotations

from typing import Any

from passerelle.aws.endpoint_metrics import load_of
from passerelle.domain.project.serving import RolloutAlarms
from passerelle.domain.requests.components import VARIANT
from passerelle.domain.requests.shadow import SHADOW_VARIANT
from passerelle.domain.shadow_verdict import shadow_faults
from passerelle.settings import JudgeShadowSettings


def judge_shadow(request: dict[str, Any], settings: JudgeShadowSettings) -> dict[str, Any]:
    """Return the request with the next change of the endpoint, and the verdict in words."""
    shadow, endpoint = request["shadow"], request["endpoint_name"]
    config, seconds = shadow["config"]["EndpointConfigName"], int(shadow["wait_seconds"])
    challenger, champion = (
        load_of(endpoint, variant, config, seconds=seconds) for variant in (SHADOW_VARIANT, VARIANT)
    )
    faults = shadow_faults(challenger, champion, RolloutAlarms.model_validate(shadow["limits"]))
    verdict = "; ".join(faults) or f"it stood {challenger.requests:g} requests in the shadow"
    return request | {"change": request["withdraw" if faults else "serve"], "verdict": verdict}
