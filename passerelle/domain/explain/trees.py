"""Exact Shapley values of trees (path-dependent TreeSHAP: Lundberg, Erion, Lee 2018, arXiv:1802.03888), in numpy.

Each path from a root to a leaf is a product: of one factor for each of its features, 1 or 0 by whether a row keeps the
path's conditions on it, and the share of the training rows that do where the feature is unknown. The Shapley value of a
product is an integral of the multilinear extension (Owen 1972, Management Science 18) along the diagonal:

    phi_i = leaf (one_i - share_i) * integral over t in 0..1 of the product over j != i of share_j + (one_j - share_j) t

The integrand is a polynomial of degree D - 1 for a path of D features, so Gauss-Legendre with ceil(D / 2) points is
exact, and all paths are computed side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.explain.contributions import Floats

Array = npt.NDArray[Any]
#: A share of no rows at all would make 0 / 0; any value keeps the sum exact, as the base uses the same.
LEAST_SHARE: Final = 1e-12
#: So many conditions are computed side by side; more would leave the processor's cache.
BLOCK: Final = 16_384


@dataclass(frozen=True)
class _Paths:
    """Paths of equally many features. Shape (n_features_of_a_path, n_paths), of `values` (n_paths, n_values)."""

    feature: Array
    low: Array
    high: Array
    missing: Array
    share: Floats
    values: Floats
    keys: Array


class TreePaths:
    """A fitted ensemble as its paths.

    Parameters
    ----------
    arrays : `feature`, `threshold`, `value`, `missing_right` by node; `children` in pairs, a leaf's are itself;
        `roots`; `base`.
    cover : how much of the training data passed each node (rows, or XGBoost's sum of hessians).
    groups : outputs of a boosted ensemble; its trees take turns.
    width : columns of the matrix that the trees read.
    equal_goes_right : where a cell goes that equals the threshold.
    mean : whether the trees are averaged (a forest) or added.
    """

    def __init__(
        self, arrays: Mapping[str, Array], cover: Array, *, groups: int, width: int, equal_goes_right: bool, mean: bool
    ) -> None:
        leaf_values = np.asarray(arrays["value"], dtype=np.float64)
        # A forest's leaf holds a share for each class; of two, the positive one says it all.
        leaf_values = leaf_values[:, None] if leaf_values.ndim == 1 else leaf_values
        leaf_values = leaf_values[:, 1:] if leaf_values.shape[1] == 2 else leaf_values
        self.outputs = max(groups, leaf_values.shape[1])
        self._width, self._equal_goes_right = width, equal_goes_right
        scale = 1 / len(arrays["roots"]) if mean else 1.0
        self.base = np.resize(np.asarray(arrays["base"], dtype=np.float64), self.outputs)
        self._blocks: list[_Paths] = []
        for paths in _merged(arrays, np.asarray(cover, dtype=np.float64), leaf_values * scale, groups, self.outputs):
            reached = np.prod(paths.share, axis=0)[:, None] * paths.values
            groups_of_paths = paths.keys[0] % self.outputs if len(paths.keys) else _group_of_leaves(arrays, groups)
            for place in range(paths.values.shape[1]):
                np.add.at(self.base, groups_of_paths + place, reached[:, place])
            if len(paths.feature):
                self._blocks += _split(paths)

    def explain(self, matrix: Array) -> Floats:
        """Return the Shapley values of rows, shape (n_rows, width, n_outputs); `matrix` in the trees' own precision."""
        found = np.zeros((len(matrix), self._width * self.outputs))
        for row, cells in zip(found, matrix, strict=True):
            for paths in self._blocks:
                self._add(row, cells, paths)
        return found.reshape(len(matrix), self._width, self.outputs)

    def _add(self, row: Floats, cells: Array, paths: _Paths) -> None:
        cell = cells.take(paths.feature)
        if self._equal_goes_right:
            kept = (cell >= paths.low) & (cell < paths.high)
        else:
            kept = (cell > paths.low) & (cell <= paths.high)
        kept |= np.isnan(cell) & paths.missing
        slope = kept - paths.share
        inner = np.zeros_like(slope)
        for point, weight in zip(*_gauss(len(paths.feature)), strict=True):
            factors = slope * point
            factors += paths.share
            product = np.multiply.reduce(factors, axis=0)
            product *= weight
            np.divide(product, factors, out=factors)
            inner += factors
        inner *= slope
        for place in range(paths.values.shape[1]):
            weighted = (inner * paths.values[:, place]).ravel()
            row += np.bincount(paths.keys.ravel() + place, weights=weighted, minlength=len(row))


@cache  # asked for every row and every group of paths
def _gauss(features: int) -> tuple[Floats, Floats]:
    """Return points and weights on 0..1 that integrate a polynomial of degree `features` - 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss((features + 1) // 2)
    return (points + 1) / 2, weights / 2


def _split(paths: _Paths) -> Iterator[_Paths]:
    step = max(1, BLOCK // len(paths.feature))
    for start in range(0, paths.feature.shape[1], step):
        part = slice(start, start + step)
        whole = {name: getattr(paths, name) for name in ("feature", "low", "high", "missing", "share", "keys")}
        sliced = {name: np.ascontiguousarray(array[:, part]) for name, array in whole.items()}
        yield _Paths(**sliced, values=paths.values[part])


def _leaves(arrays: Mapping[str, Array]) -> Array:
    children = np.asarray(arrays["children"]).reshape(-1, 2)
    return np.flatnonzero(children[:, 0] == np.arange(len(children)))


def _group_of_leaves(arrays: Mapping[str, Array], groups: int) -> Array:
    """Return the output of each tree that is nothing but a leaf."""
    lonely = np.intersect1d(_leaves(arrays), arrays["roots"])
    return np.asarray(np.searchsorted(arrays["roots"], lonely) % groups)


def _merged(arrays: Mapping[str, Array], cover: Floats, values: Floats, groups: int, outputs: int) -> Iterator[_Paths]:
    """Yield the paths by their number of features; the conditions of a path on one feature are one interval."""
    leaves = _leaves(arrays)
    group = (np.searchsorted(arrays["roots"], leaves, side="right") - 1) % groups
    path, feature, low, high, missing, share = _conditions(arrays, cover, leaves)
    width = int(feature.max(initial=0)) + 1
    key = path * width + feature
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    path, feature = path[order][starts], feature[order][starts]
    if len(starts):
        low, high = np.maximum.reduceat(low[order], starts), np.minimum.reduceat(high[order], starts)
        missing = np.logical_and.reduceat(missing[order], starts)
        share = np.maximum(np.multiply.reduceat(share[order], starts), LEAST_SHARE)
    counts = np.bincount(path, minlength=len(leaves))
    for count in np.unique(counts):
        chosen, entries = counts == count, counts[path] == count

        def shaped(array: Array, entries: Array = entries, count: int = int(count)) -> Array:
            return np.ascontiguousarray(array[entries].reshape(-1, count).T) if count else np.zeros((0, 0))

        rows = shaped(feature).astype(np.intp)
        if not count:
            yield _Paths(rows, rows, rows, rows, np.ones((0, chosen.sum())), values[leaves[chosen]], rows)
            continue
        keys = rows * outputs + group[chosen]
        parts = (shaped(low), shaped(high), shaped(missing), shaped(share))
        yield _Paths(rows, *parts, values[leaves[chosen]], keys)


def _conditions(arrays: Mapping[str, Array], cover: Floats, leaves: Array) -> tuple[Array, ...]:
    """Return (path, feature, low, high, missing, share) of every condition on the way from each leaf to its root."""
    children = np.asarray(arrays["children"]).reshape(-1, 2)
    inner = np.flatnonzero(children[:, 0] != np.arange(len(children)))
    parent, is_right = np.full(len(children), -1), np.zeros(len(children), dtype=bool)
    parent[children[inner, 0]], parent[children[inner, 1]] = inner, inner
    is_right[children[inner, 1]] = True
    pieces: list[tuple[Array, ...]] = []
    node, path = leaves, np.arange(len(leaves))
    while True:
        path, node = path[parent[node] >= 0], node[parent[node] >= 0]
        above, right = parent[node], is_right[node]
        threshold = arrays["threshold"][above]
        share = np.divide(cover[node], cover[above], out=np.zeros(len(node)), where=cover[above] > 0)
        low, high = np.where(right, threshold, -np.inf), np.where(right, np.inf, threshold)
        pieces.append((path, arrays["feature"][above], low, high, arrays["missing_right"][above] == right, share))
        if not len(node):
            return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))
        node = above
