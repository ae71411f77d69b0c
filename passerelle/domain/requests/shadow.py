"""A challenger beside the champion, as a shadow variant: it gets copies of requests, and nobody sees its answers.

API reference, CreateEndpointConfig: one production and one shadow variant. Developer guide, "Testing models with shadow
variants" and "Shadow tests, Exclusions": instances only. The sampled share follows the weights of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from passerelle.domain.project.serving import Shadow
from passerelle.domain.requests.hosting import named_config

SHADOW_VARIANT: Final = "challenger"
Request = dict[str, Any]
#: What a configuration that is described has of a variant, and a new one may be given.
_OF_THE_VARIANT: Final = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount")


def shadow_config(endpoint: str, shadow: Shadow, champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> Request:
    """Return CreateEndpointConfig for both.

    Parameters
    ----------
    champion : the production variant that serves now, as SageMaker describes it.
    challenger : CreateEndpointConfig with which the challenger would serve alone; capture and keys are its own.
    """
    (variant,) = challenger["ProductionVariants"]
    instances = -(-variant["InitialInstanceCount"] * shadow.percent // 100)
    shadowing = variant | {
        "VariantName": SHADOW_VARIANT,
        "InitialInstanceCount": instances,
        "InitialVariantWeight": shadow.percent / 100,
    }
    serving = {key: champion[key] for key in _OF_THE_VARIANT} | {"InitialVariantWeight": 1.0}
    rest = {key: value for key, value in challenger.items() if key not in ("EndpointConfigName", "Tags")}
    config = rest | {"ProductionVariants": [serving], "ShadowProductionVariants": [shadowing]}
    return named_config(endpoint, config) | {"Tags": challenger["Tags"]}
