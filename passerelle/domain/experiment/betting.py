"""An interval for bounded outcomes that holds at every reading with no approximation, from the first entity on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import AbEffect, AbPlan, Estimate

Array = npt.NDArray[Any]
#: No bet risks more than this share of what it could lose.
_MOST: Final = 0.75
_HALVINGS: Final = 40


def betting_effect(
    champion: Array, challenger: Array, plan: AbPlan, *, least: float, greatest: float, unit: str
) -> AbEffect:
    """Return the challenger's mean less the champion's, from one outcome per entity between two known values.

    Each outcome of the challenger is set against the mean of the champion's next few, as many as the plan's share gives
    it: such differences are bounded, independent and have the mean that is looked for, whatever the distribution.
    Those without a partner yet wait. The interval is of the mean of the differences seen, should it drift.

    Parameters
    ----------
    champion, challenger : outcomes in the order in which entities came, shapes (n,) and (m,).
    """
    apart = matched(champion, challenger, plan.share)
    width = greatest - least
    lower, upper = betting_interval(apart / (2 * width) + 0.5, plan.error, horizon(plan))
    middle = float(np.mean(apart)) if len(apart) else 0.0
    ends = (2 * width * (one - 0.5) for one in (lower, upper))
    return AbEffect(
        method="betting",
        unit=unit,
        champion_entities=len(champion),
        challenger_entities=len(challenger),
        champion=float(np.mean(champion)) if len(champion) else 0.0,
        challenger=float(np.mean(challenger)) if len(challenger) else 0.0,
        more=Estimate(value=middle, lower=next(ends), upper=next(ends)),
    )


def per_challenger(share: float) -> int:
    """Return how many entities of the champion stand against one of the challenger."""
    return max(1, round((1 - share) / share))


def horizon(plan: AbPlan) -> int:
    """Return how many differences the plan's end gives."""
    return max(1, int(plan.entities * min(plan.share, (1 - plan.share) / per_challenger(plan.share))))


def matched(champion: Array, challenger: Array, share: float) -> Array:
    """Return outcomes of the challenger less the mean of as many of the champion's as the share gives to each."""
    group = per_challenger(share)
    count = min(len(challenger), len(champion) // group)
    means = np.asarray(champion[: count * group], dtype=np.float64).reshape(count, group).mean(axis=1)
    return np.asarray(challenger[:count] - means)


def betting_interval(values: Array, error: float, aimed_at: int) -> tuple[float, float]:
    """Return a confidence sequence's interval for the mean of values in [0, 1], after the last of them.

    Somebody bets that the mean is greater than m, somebody else that it is less. If m is the mean, neither gets rich:
    that one ever has 2 / error times the stake has probability error / 2 (Ville 1939), so every m on which one does
    is no longer believed (Waudby-Smith & Ramdas 2024, Estimating means of bounded random variables by betting,
    Journal of the Royal Statistical Society B 86, theorem 3). A bet knows only values before it.

    Parameters
    ----------
    aimed_at : after how many values the interval should be tightest.
    """
    if not len(values):
        return 0.0, 1.0
    staked = bets(values, error, aimed_at)
    rich = math.log(2 / error)
    middle = float(np.mean(values))

    def more_pays(mean: float) -> bool:
        return bool(log_wealth(values, staked, mean)[-1] >= rich)

    def less_pays(mirrored: float) -> bool:
        return bool(log_wealth(1 - values, staked, mirrored)[-1] >= rich)

    return _refuted_up_to(more_pays, middle), 1 - _refuted_up_to(less_pays, 1 - middle)


def bets(values: Array, error: float, aimed_at: int) -> Array:
    """Return what is staked on each value: equation 26 of the paper, for the horizon as long as it is not reached."""
    counts = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (counts + 1)
    spreads = (0.25 + np.cumsum((values - means) ** 2)) / (counts + 1)
    before = np.concatenate([[0.25], spreads[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / error) / (before * np.maximum(counts, aimed_at))))


def log_wealth(values: Array, staked: Array, mean: float) -> Array:
    """Return the logarithm of what betting on more than this mean has made of one, after each value."""
    limited = np.minimum(staked, _MOST / mean) if mean > 0 else staked
    return np.asarray(np.cumsum(np.log1p(limited * (values - mean))))


def _refuted_up_to(rich: Callable[[float], bool], high: float) -> float:
    """Return the greatest mean, up to that of the values, on which betting made rich: on higher ones it pays less."""
    low = 0.0
    if not rich(low):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rich(middle) else (low, middle)
    return low
