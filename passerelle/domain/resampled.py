"""Every metric on all resamples at once: what a metric needs of each block is summed once, then weighted.

The figures are those of `metrics.score` on the drawn rows (a test compares them), at a cost that hardly depends on the
number of rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.metrics import score
from passerelle.domain.resampling import Blocks

Array = npt.NDArray[Any]
#: Score levels, or cells of rounds times rows, that are worked on at a time.
_LEVELS: Final = 2_048
_CELLS: Final = 2_000_000
_EPS: Final = 1e-15


def resampled_scores(
    name: str,
    task: str,
    labels: Array,
    predictions: Array,
    probabilities: Array | None,
    classes: Array,
    *,
    blocks: Blocks,
    weights: Array,
    defined: bool | None = None,
) -> Array:
    """Return a metric on every resample, shape (rounds,); NaN where a resample leaves it undefined.

    Parameters
    ----------
    blocks, weights : which block each of these rows belongs to, and how often each is drawn, shape (rounds, blocks).
    defined : whether the metric is defined on the rows as they are; None where that is to be found out, which takes as
        long as many rounds.
    """
    if defined is None:
        defined = score(name, task, labels, predictions, probabilities, classes) is not None
    if not defined:
        return np.full(len(weights), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        if task == "regression":
            return _regression(name, labels, predictions, blocks, weights)
        assert probabilities is not None
        if name == "roc_auc":
            aucs = [
                roc_auc(np.asarray(labels == one), probabilities[:, place], blocks, weights)
                for place, one in list(enumerate(classes))[1 if len(classes) == 2 else 0 :]
            ]
            return np.asarray(np.mean(aucs, axis=0))
        if name == "average_precision":
            return _average_precision(np.asarray(labels == 1), probabilities[:, 1], blocks, weights)
        columns, finish = _SUMS[name](labels, predictions, probabilities, classes)
        return np.asarray(finish(weighted_sums(columns, blocks, weights)))


def weighted_sums(columns: list[Array], blocks: Blocks, weights: Array) -> Array:
    """Return the sum of each column over the drawn rows, shape (columns, rounds)."""
    sums = [np.bincount(blocks.of_row, column, blocks.count) for column in columns]
    return np.asarray(np.asarray(sums) @ weights.T)


def roc_auc(positive: Array, scores: Array, blocks: Blocks, weights: Array) -> Array:
    """Return the area under the ROC curve on every resample.

    The Mann-Whitney count is a sum over pairs of blocks, won[i, j] = positives of block i that score above negatives of
    block j, a tie counting half: it is made once, and each round only weights it.
    """
    levels = np.unique(scores, return_inverse=True)[1]
    order = np.argsort(levels, kind="stable")
    ends = np.searchsorted(levels[order], np.arange(0, levels.max() + 1 + _LEVELS, _LEVELS))
    won, below = np.zeros((blocks.count, blocks.count)), np.zeros(blocks.count)
    for chunk, (first, last) in enumerate(itertools.pairwise(ends)):
        rows = order[first:last]
        size = min(_LEVELS, levels.max() + 1 - chunk * _LEVELS)
        cell = (levels[rows] - chunk * _LEVELS) * blocks.count + blocks.of_row[rows]
        hits = np.bincount(cell, positive[rows], size * blocks.count).reshape(size, -1)
        misses = np.bincount(cell, ~positive[rows], size * blocks.count).reshape(size, -1)
        won += hits.T @ (below + np.cumsum(misses, axis=0) - misses / 2)
        below += misses.sum(axis=0)
    positives, negatives = weighted_sums([positive, ~positive], blocks, weights)
    return np.asarray(np.einsum("ri,ri->r", weights @ won, weights) / (positives * negatives))


def _average_precision(positive: Array, scores: Array, blocks: Blocks, weights: Array) -> Array:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = []
    for part in _parts(weights, len(order)):
        drawn = part[:, blocks.of_row[order]]
        taken, hits = (np.cumsum(cells, axis=1)[:, ends] for cells in (drawn, drawn * positive[order]))
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        found.append(np.sum(precision * np.diff(hits, axis=1, prepend=0.0), axis=1) / hits[:, -1])
    return np.concatenate(found)


def _median(values: Array, blocks: Blocks, weights: Array) -> Array:
    order = np.argsort(values, kind="stable")
    found = []
    for part in _parts(weights, len(order)):
        counts = np.cumsum(part[:, blocks.of_row[order]], axis=1)
        half = counts[:, -1:] / 2
        middle = [np.argmax(counts >= half, axis=1), np.argmax(counts > half, axis=1)]
        found.append(np.where(half[:, 0] > 0, np.mean(values[order][middle], axis=0), np.nan))
    return np.concatenate(found)


def _parts(weights: Array, rows: int) -> list[Array]:
    return np.array_split(weights, max(1, len(weights) * rows // _CELLS))


def _regression(name: str, labels: Array, predictions: Array, blocks: Blocks, weights: Array) -> Array:
    errors = labels - predictions
    if name == "median_absolute_error":
        return _median(np.abs(errors), blocks, weights)
    centred = labels - np.mean(labels)  # else sums of squares lose their digits
    columns = [np.ones(len(labels)), np.abs(errors), errors**2, centred, centred**2]
    rows, absolute, squared, total, squares = weighted_sums(columns, blocks, weights)
    if name == "mae":
        return np.asarray(absolute / rows)
    if name == "rmse":
        return np.asarray(np.sqrt(squared / rows))
    return np.asarray(1 - squared / (squares - total**2 / rows))


Sums = tuple[list[Array], Callable[[Array], Array]]


def _mean_of(values: Array) -> Sums:
    return [np.ones(len(values)), values], lambda sums: sums[1] / sums[0]


def _log_loss(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    own = probabilities[np.arange(len(labels)), np.searchsorted(classes, labels)]
    return _mean_of(-np.log(np.clip(own, _EPS, 1 - _EPS)))


def _brier(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    return _mean_of((probabilities[:, 1] - labels) ** 2)


def _accuracy(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    return _mean_of(np.asarray(labels == predictions, dtype=np.float64))


def _f1(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    decided, actual = probabilities[:, 1] >= 0.5, labels == 1
    either = decided.astype(np.float64) + actual
    return [decided & actual, either], lambda sums: np.where(sums[1] > 0, 2 * sums[0] / sums[1], 0.0)


def _balanced_accuracy(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    names = np.unique(labels)
    columns = [(labels == one) & (predictions == one) for one in names] + [labels == one for one in names]
    return columns, lambda sums: np.nanmean(sums[: len(names)] / sums[len(names) :], axis=0)


def _macro_f1(labels: Array, predictions: Array, probabilities: Array, classes: Array) -> Sums:
    names = np.unique(np.concatenate([labels, predictions]))
    hits = [(labels == one) & (predictions == one) for one in names]
    either = [(labels == one).astype(np.float64) + (predictions == one) for one in names]
    return [*hits, *either], lambda sums: np.nanmean(2 * sums[: len(names)] / sums[len(names) :], axis=0)


_SUMS: Final[dict[str, Callable[[Array, Array, Array, Array], Sums]]] = {
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "f1": _f1,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
}
