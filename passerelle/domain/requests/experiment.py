"""An A/B test on an endpoint: both models as production variants, the caller names who answers.

API reference, InvokeEndpoint: TargetVariant overrides the weights. Developer guide, "Testing models with production
variants". Weights alone draw anew for each request, so that one entity would meet both models: they are only what
happens to a caller that names no variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passerelle.domain.experiment.assignment import arm_of
from passerelle.domain.project.experiment import Experiment
from passerelle.domain.requests.components import VARIANT
from passerelle.domain.requests.shadow import SHADOW_VARIANT, config_of_both, side_by_side

Request = dict[str, Any]


def ab_config(
    endpoint: str, experiment: Experiment, champion: Mapping[str, Any], challenger: Mapping[str, Any]
) -> Request:
    """Return CreateEndpointConfig for both, the challenger on as many instances as its share needs.

    Parameters
    ----------
    champion : the production variant that serves now, as SageMaker describes it.
    challenger : CreateEndpointConfig with which the challenger would serve alone; capture and keys are its own.
    """
    both = side_by_side(champion, challenger, weights=(1 - experiment.share, experiment.share))
    return config_of_both(endpoint, challenger, {"ProductionVariants": list(both)})


def new_share(endpoint: str, experiment: Experiment) -> Request:
    """Return UpdateEndpointWeightsAndCapacities for a share that was changed: no server is started anew."""
    weights = {VARIANT: 1 - experiment.share, SHADOW_VARIANT: experiment.share}
    return {
        "EndpointName": endpoint,
        "DesiredWeightsAndCapacities": [
            {"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()
        ],
    }


def target_variant(entity: tuple[Any, ...], salt: str, experiment: Experiment) -> str:
    """Return TargetVariant of InvokeEndpoint for an entity."""
    return VARIANT if arm_of(entity, salt, experiment.share) == "champion" else SHADOW_VARIANT
