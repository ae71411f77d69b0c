"""Which model answers whom in an A/B test: by entity, so that one is always treated alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from passerelle.errors import InputError

Arm = Literal["champion", "challenger"]
#: Below the first the challenger is hardly ever asked, above the second the champion is no longer the rule.
LEAST_SHARE: Final = 0.05
GREATEST_SHARE: Final = 0.5
_BYTES: Final = 8


def place_of(entity: Sequence[Any], salt: str) -> float:
    """Return an entity's place in an experiment, uniform in [0, 1) over entities.

    A cryptographic hash: with weaker ones, experiments of different salt were not independent of each other (Kohavi,
    Longbotham, Sommerfield & Henne 2009, Data Mining and Knowledge Discovery 18, section 4.1.1).

    Parameters
    ----------
    entity : the values of its columns, in their order. salt : the experiment's name.
    """
    told = json.dumps([salt, *(str(value) for value in entity)], ensure_ascii=False)
    digest = hashlib.sha256(told.encode()).digest()
    return int.from_bytes(digest[:_BYTES], "big") / 256.0**_BYTES


def arm_of(entity: Sequence[Any], salt: str, share: float) -> Arm:
    """Return the model that answers an entity; who had the challenger keeps it when its share grows.

    Raises InputError when the share is not between 5 and 50 %.
    """
    if not LEAST_SHARE <= share <= GREATEST_SHARE:
        raise InputError(f"share {share:g} of an experiment: give the challenger 0.05 to 0.5 of the entities")
    return "challenger" if place_of(entity, salt) < share else "champion"
