"""Choose parsimoniously: of the models that are as good as the best within one standard error, the simplest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Each step of the reduction keeps this share of the features.
KEPT_SHARE: Final = 0.7
#: How often a lead that is chance stays below one standard error.
ONE_ERROR: Final = 0.8413
#: By so many standard errors a model is no longer one that might have been the best.
CLEARLY_BEHIND: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Option:
    """A model that may be chosen: candidate and number of features, and how it did on validation.

    `resamples` is the metric on resamples of the validation rows, shape (rounds,), the same rows for every option, so
    that differences are paired. `complexity` ranks candidates; of two that are equal in everything else the one that
    takes fewer `seconds` wins.
    """

    name: str
    features: int
    score: float
    resamples: npt.NDArray[Any]
    complexity: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Choice:
    """Which option, why in one sentence, and how far behind the best each option is.

    `behind` has (loss, its standard error, as good) for each option, in their order.
    """

    option: Option
    why: str
    behind: tuple[tuple[float, float, bool], ...]


def choose(options: Sequence[Option], *, metric: str, greater_is_better: bool) -> Choice:
    """Return the simplest option that is as good as the best: fewer features count only within a candidate.

    The one-standard-error rule (Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees, section
    3.4.3), with the standard error of the paired difference: resamples of the same rows vary together, so that the
    error of the best alone would call much worse models as good.

    The best of several equal models leads the simplest by more than one standard error more often than the best of two:
    the allowance grows with the number of rivals, so that a model that is as good as all of them is kept as often as
    against one (`_allowance`).

    Raises ValueError when there is no option with a score.
    """
    scored = [option for option in options if np.isfinite(option.score)]
    if not scored:
        raise ValueError("no candidate was trained")
    sign = 1.0 if greater_is_better else -1.0
    best = max(scored, key=lambda option: (sign * option.score, -option.complexity, -option.features))
    rivals = [option for option in scored if _in_the_running(best, option, sign)]
    behind = tuple(_behind(best, option, rivals, sign) for option in options)
    good = [option for option, (_, _, as_good) in zip(options, behind, strict=True) if as_good]
    chosen = min(good, key=lambda option: (option.complexity, option.features, option.seconds))
    if chosen is best:
        return Choice(best, f"{_named(best, options)} has the best {metric} on validation, {best.score:.4f}.", behind)
    loss, error, _ = behind[next(place for place, option in enumerate(options) if option is chosen)]
    allowed = _allowance(chosen, rivals, sign)
    within = "one standard error" if allowed <= 1 else f"{allowed:.1f} standard errors"
    among = "" if allowed <= 1 else f"; the best of {len(rivals)} that are alike leads by that much by chance"
    why = (
        f"{_named(chosen, options)} ({metric} {chosen.score:.4f}) is simpler than {_named(best, options)} "
        f"({best.score:.4f}) and as good: they differ by {loss:.4f}, within {within} of it ({error:.4f}){among}."
    )
    return Choice(chosen, why, behind)


def _behind(best: Option, option: Option, rivals: Sequence[Option], sign: float) -> tuple[float, float, bool]:
    if option is best:
        return 0.0, 0.0, True
    if not np.isfinite(option.score):
        return float("inf"), 0.0, False
    loss, error = sign * (best.score - option.score), _error(best, option)
    return loss, error, loss <= error or loss <= error * _allowance(option, rivals, sign)


def _differences(one: Option, other: Option) -> npt.NDArray[Any]:
    if len(one.resamples) != len(other.resamples):
        return np.asarray([])
    return np.asarray(one.resamples - other.resamples)


def _error(one: Option, other: Option) -> float:
    """Return the standard error of a difference, 0 where nothing tells it: then only an equal score is as good."""
    differences = _differences(one, other)
    known = differences[np.isfinite(differences)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def _in_the_running(best: Option, option: Option, sign: float) -> bool:
    return sign * (best.score - option.score) <= CLEARLY_BEHIND * _error(best, option)


def _allowance(option: Option, rivals: Sequence[Option], sign: float) -> float:
    """Return how many standard errors an option that is as good as its rivals may be behind the best of them.

    One for one rival. For several, what their greatest lead stays below as often as one normal lead stays below one: a
    quantile of the greatest standardised lead over the resamples (White 2000, A Reality Check for Data Snooping,
    Econometrica 68; rivals that are clearly behind are left out, as in Hansen 2005).
    """
    others = [rival for rival in rivals if rival is not option and _error(rival, option) > 0]
    if len(others) < 2:
        return 1.0
    leads = [sign * _differences(rival, option) / _error(rival, option) for rival in others]
    centred = np.asarray([lead - np.nanmean(lead) for lead in leads])
    known = centred[:, np.all(np.isfinite(centred), axis=0)]
    return max(1.0, float(np.quantile(known.max(axis=0), ONE_ERROR))) if known.shape[1] > 1 else 1.0


def _named(option: Option, options: Sequence[Option]) -> str:
    several = {other.features for other in options if other.name == option.name}
    if len(several) < 2:
        return option.name
    return f"{option.name} with {option.features} feature{'s' * (option.features != 1)}"


def reduction_sizes(features: int) -> list[int]:
    """Return the numbers of features to try after all of them: each about 30 % smaller, down to one."""
    sizes = []
    size = features
    while size > 1:
        size = max(1, min(size - 1, int(size * KEPT_SHARE)))
        sizes.append(size)
    return sizes
