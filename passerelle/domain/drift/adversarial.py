"""Whether a classifier tells a window's rows from the reference's: what no column shows alone, and no pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.boosted import Boosted, boost
from passerelle.domain.drift.coded import Coded
from passerelle.domain.drift.effect import Effect

Array = npt.NDArray[Any]

#: More rows of a window make the classifier slower, not the answer different.
ROWS: Final = 1_500
#: Fewer rows of either window teach a classifier nothing.
LEAST: Final = 40
_FOLDS: Final = 3
_PERMUTATIONS: Final = 99
#: Once so many permutations were told apart as well as the windows, more would not make these differ.
_ENOUGH: Final = 8
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Told:
    """How well windows are told apart: the area under the ROC curve, 0.5 for not at all, and by which columns.

    `columns` has how much of the area is lost when a column's values are shuffled, the most telling first; it is empty
    where the windows are not told apart.
    """

    area: Effect
    p_value: float
    columns: tuple[tuple[str, float], ...]


def tell_apart(window: Coded, reference: Coded, *, seed: int = 0) -> Told | None:
    """Return how well a classifier tells the windows apart, None where either has too few rows.

    It is cross-fitted: each row is scored by trees that were fitted without it. The areas of folds depend on each
    other, so no formula has their law (Bengio & Grandvalet 2004, Journal of Machine Learning Research 5): the p-value
    is that of permuted labels, with all of the fitting done again, and ends early where it will not be small (Besag &
    Clifford 1991, Biometrika 78).

    Parameters
    ----------
    window, reference : rows of the same columns, at most `ROWS` of each are looked at.
    """
    window, reference = window.sampled(ROWS, seed), reference.sampled(ROWS, seed + 1)
    if min(len(window.rows), len(reference.rows)) < LEAST or not window.names:
        return None
    both = Coded(names=window.names, ordered=window.ordered, rows=np.concatenate([window.rows, reference.rows]))
    labels = np.concatenate([np.ones(len(window.rows)), np.zeros(len(reference.rows))])
    rng = np.random.default_rng(seed)
    fold = _folds(labels, rng)
    models = [_fitted(both, labels, fold, number) for number in range(_FOLDS)]
    area = _area(both.rows, labels, fold, models)
    permuted: list[float] = []
    while len(permuted) < _PERMUTATIONS and sum(each >= area for each in permuted) < _ENOUGH:
        shuffled = rng.permutation(labels)
        other = _folds(shuffled, rng)
        fitted = [_fitted(both, shuffled, other, number) for number in range(_FOLDS)]
        permuted.append(_area(both.rows, shuffled, other, fitted))
    p_value = (1 + sum(each >= area for each in permuted)) / (1 + len(permuted))
    half = _NORMAL_95 * float(np.std(permuted))
    return Told(
        area=Effect(value=area, lower=max(0.0, area - half), upper=min(1.0, area + half)),
        p_value=p_value,
        columns=_telling(both, labels, fold, models, area, rng) if p_value <= 0.05 else (),
    )


def _telling(
    both: Coded, labels: Array, fold: Array, models: list[Boosted], area: float, rng: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    lost: dict[str, float] = {}
    for column in {at for model in models for tree in model.trees for at in tree.columns}:
        rows = both.rows.copy()
        rows[:, column] = rng.permutation(rows[:, column])
        lost[both.names[column]] = area - _area(rows, labels, fold, models)
    return tuple((name, loss) for name, loss in sorted(lost.items(), key=lambda found: -found[1]) if loss > 0.005)


def _fitted(both: Coded, labels: Array, fold: Array, number: int) -> Boosted:
    kept = fold != number
    return boost(Coded(names=both.names, ordered=both.ordered, rows=both.rows[kept]), labels[kept])


def _folds(labels: Array, rng: np.random.Generator) -> Array:
    """Deal both windows' rows out evenly."""
    fold = np.empty(len(labels), np.intp)
    for label in (0, 1):
        here = np.flatnonzero(labels == label)
        fold[rng.permutation(here)] = np.arange(len(here)) % _FOLDS
    return fold


def _area(rows: Array, labels: Array, fold: Array, models: list[Boosted]) -> float:
    """Return the mean area under the ROC curve of the folds, each row scored by the model that did not see it."""
    areas = []
    for number, model in enumerate(models):
        held = fold == number
        scores, label = model(rows[held]), labels[held]
        _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
        n, m = float(label.sum()), float((1 - label).sum())
        areas.append((float(ranks[label == 1].sum()) - n * (n + 1) / 2) / (n * m))
    return float(np.mean(areas))
