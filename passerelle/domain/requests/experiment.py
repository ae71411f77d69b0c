"""An A/B test on an endpoint: both models as production variants, the caller names who answers.

API reference, InvokeEndpoint: TargetVariant overrides the weights. Developer guide, "Testing models with production
variants". Weights alone draw anew for each request, so that one entity would meet both models: they are only what
happens to a caller that names no variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from passerelle.domain.experiment.assignment import arm_of
from passerelle.domain.project.experiment import Experiment
from passerelle.domain.requests.components import VARIANT
from passerelle.domain.requests.hosting import named_config
from passerelle.domain.requests.shadow import SHADOW_VARIANT

Request = dict[str, Any]
#: What a configuration that is described has of a variant, and a new one may be given.
_OF_THE_VARIANT: Final = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount")


def ab_config(
    endpoint: str, experiment: Experiment, champion: Mapping[str, Any], challenger: Mapping[str, Any]
) -> Request:
    """Return CreateEndpointConfig for both, the challenger on as many instances as its share needs.

    Parameters
    ----------
    champion : the production variant that serves now, as SageMaker describes it.
    challenger : CreateEndpointConfig with which the challenger would serve alone; capture and keys are its own.
    """
    (variant,) = challenger["ProductionVariants"]
    instances = -(-variant["InitialInstanceCount"] * experiment.percent // 100)
    trying = variant | {
        "VariantName": SHADOW_VARIANT,
        "InitialInstanceCount": instances,
        "InitialVariantWeight": experiment.share,
    }
    serving = {key: champion[key] for key in _OF_THE_VARIANT} | {"InitialVariantWeight": 1 - experiment.share}
    rest = {key: value for key, value in challenger.items() if key not in ("EndpointConfigName", "Tags")}
    return named_config(endpoint, rest | {"ProductionVariants": [serving, trying]}) | {"Tags": challenger["Tags"]}


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
