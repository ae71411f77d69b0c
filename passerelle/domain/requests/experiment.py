"""An A/B test on an endpoint: both models as production variants, the caller names who answers.

API reference, InvokeEndpoint: TargetVariant overrides the weights. Developer guide, "Testing models with production
variants". Weights alone draw anew for each request, so that one entity would meet both models: they are only what
happens to a caller that names no variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.experiment.assignment import arm_of
from passerelle.domain.project.experiment import Experiment
from passerelle.domain.requests.shadow import config_of_both, side_by_side

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


def target_variant(entity: Sequence[Any], name: str, share: float) -> str:
    """Return TargetVariant of InvokeEndpoint for an entity in the test of this name.

    Raises InputError when the challenger's share is not between 5 and 50 %.
    """
    return VARIANT if arm_of(entity, name, share) == "champion" else SHADOW_VARIANT
