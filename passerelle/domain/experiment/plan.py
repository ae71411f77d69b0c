"""How many entities an A/B test needs, stated before it begins."""

from __future__ import annotations

import math
from typing import Final

from passerelle.contracts.experiment import AbPlan
from passerelle.domain.experiment.assignment import GREATEST_SHARE, LEAST_SHARE
from passerelle.domain.experiment.interval import normal_quantile
from passerelle.domain.experiment.sequence import best_scale, boundary
from passerelle.errors import InputError

ERROR: Final = 0.05
POWER: Final = 0.8


def make_plan(*, effect: float, spread: float, share: float, error: float = ERROR, power: float = POWER) -> AbPlan:
    """Return the entities of both variants that show a difference of `effect` with probability `power`.

    n = (b + z_power)^2 * spread^2 / (share * (1 - share) * effect^2), with b the width of the interval in standard
    errors: 1.96 where it is read once at the end (Chow, Shao & Wang 2008, Sample Size Calculations in Clinical
    Research, section 3.2), 3.03 where it may be read at any time. Mostly a sequence ends before: an effect that is
    greater than `effect` is shown sooner.

    Parameters
    ----------
    effect : the least difference of means that matters. spread : standard deviation of an entity's outcome.
    """
    if not LEAST_SHARE <= share <= GREATEST_SHARE:
        raise InputError(f"share {share:g} of an experiment: give the challenger 0.05 to 0.5 of the entities")
    for name, given in (("effect", effect), ("spread", spread)):
        if not (math.isfinite(given) and given > 0):
            raise InputError(f"{name} {given:g} of an experiment must be a number above 0: the size of {_WHAT[name]}")
    always, once = float(boundary(best_scale(error), error)), normal_quantile(1 - error / 2)
    each = (spread / effect) ** 2 / (share * (1 - share))
    entities, fixed = (math.ceil((width + normal_quantile(power)) ** 2 * each) for width in (always, once))
    return AbPlan(effect=effect, spread=spread, share=share, error=error, power=power, entities=entities, fixed=fixed)


_WHAT: Final = {"effect": "a difference that matters", "spread": "an outcome's standard deviation"}


def binary_spread(rate: float, effect: float = 0.0) -> float:
    """Return the standard deviation of an outcome that is 1 at this rate, or with the effect where that is greater."""
    return max(math.sqrt(one * (1 - one)) for one in (rate, rate + effect))
