"""A challenger beside the champion, as a shadow variant: it gets copies of requests, and nobody sees its answers.

API reference, CreateEndpointConfig: one production and one shadow variant. Developer guide, "Testing models with shadow
variants" and "Shadow tests, Exclusions": instances only. The sampled share follows the weights of the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from passerelle.contracts.variants import SHADOW_VARIANT
from passerelle.domain.project.serving import Shadow
from passerelle.domain.requests.hosting import named_config

Request = dict[str, Any]
Variant = Mapping[str, Any]
#: What a configuration that is described has of a variant, and a new one may be given.
_OF_THE_VARIANT: Final = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount")


def shadow_config(endpoint: str, shadow: Shadow, champion: Variant, challenger: Mapping[str, Any]) -> Request:
    """Return CreateEndpointConfig for both.

    Parameters
    ----------
    champion : the production variant that serves now, as SageMaker describes it.
    challenger : CreateEndpointConfig with which the challenger would serve alone; capture and keys are its own.
    """
    serving, shadowing = side_by_side(champion, challenger, weights=(1.0, shadow.percent / 100))
    variants = {"ProductionVariants": [serving], "ShadowProductionVariants": [shadowing]}
    return config_of_both(endpoint, challenger, variants)


def side_by_side(
    champion: Variant, challenger: Mapping[str, Any], *, weights: tuple[float, float]
) -> tuple[Request, Request]:
    """Return both models' variants, the challenger's on as many of its instances as its weight is a share."""
    (variant,) = challenger["ProductionVariants"]
    ours, theirs = weights
    beside = variant | {
        "VariantName": SHADOW_VARIANT,
        "InitialInstanceCount": math.ceil(round(variant["InitialInstanceCount"] * theirs, 6)),
        "InitialVariantWeight": theirs,
    }
    return {key: champion[key] for key in _OF_THE_VARIANT} | {"InitialVariantWeight": ours}, beside


def config_of_both(endpoint: str, challenger: Mapping[str, Any], variants: Request) -> Request:
    """Return CreateEndpointConfig with variants in place of the challenger's own."""
    rest = {key: value for key, value in challenger.items() if key not in ("EndpointConfigName", "Tags")}
    return named_config(endpoint, rest | variants) | {"Tags": challenger["Tags"]}
