"""Choose parsimoniously: of the models that are as good as the best within one standard error, the simplest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Each step of the reduction keeps this share of the features.
KEPT_SHARE: Final = 0.7


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

    Raises ValueError when there is no option.
    """
    if not options:
        raise ValueError("no candidate was trained")
    sign = 1.0 if greater_is_better else -1.0
    best = max(options, key=lambda option: (sign * option.score, -option.complexity, -option.features))
    behind = tuple(_behind(best, option, sign) for option in options)
    good = [option for option, (_, _, as_good) in zip(options, behind, strict=True) if as_good]
    chosen = min(good, key=lambda option: (option.complexity, option.features, option.seconds))
    if chosen is best:
        return Choice(best, f"{_named(best, options)} has the best {metric} on validation, {best.score:.4f}.", behind)
    loss, error, _ = behind[list(options).index(chosen)]
    why = (
        f"{_named(chosen, options)} ({metric} {chosen.score:.4f}) is simpler than {_named(best, options)} "
        f"({best.score:.4f}) and as good: they differ by {loss:.4f}, within one standard error of it ({error:.4f})."
    )
    return Choice(chosen, why, behind)


def _behind(best: Option, option: Option, sign: float) -> tuple[float, float, bool]:
    if option is best:
        return 0.0, 0.0, True
    loss = sign * (best.score - option.score)
    if len(best.resamples) != len(option.resamples):
        return loss, 0.0, loss <= 0
    differences = best.resamples - option.resamples
    known = differences[np.isfinite(differences)]
    error = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    return loss, error, loss <= error


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
