"""Boosted trees of depth two over codes, in NumPy: enough to tell two windows apart where a library cannot be imported.

Logistic loss and Newton's leaves (Friedman 2001, Annals of Statistics 29; Chen & Guestrin 2016, section 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.coded import CODES, Coded

Array = npt.NDArray[Any]

TREES: Final = 12
_RATE: Final = 0.4
_RIDGE: Final = 5.0
_LEAF: Final = 5.0


@dataclass(frozen=True)
class Split:
    """Rows whose code in a column is true in `left`, shape (CODES,), go left."""

    column: int
    left: Array


@dataclass(frozen=True)
class Tree:
    first: Split
    then: tuple[Split | None, Split | None]
    leaves: Array

    @property
    def columns(self) -> set[int]:
        """The columns that it asks."""
        return {self.first.column, *(split.column for split in self.then if split is not None)}

    def __call__(self, rows: Array) -> Array:
        side = (~self.first.left[rows[:, self.first.column]]).astype(np.intp)
        leaf = side * 2
        for number, split in enumerate(self.then):
            if split is not None:
                here = side == number
                leaf[here] += ~split.left[rows[here, split.column]]
        found: Array = self.leaves[leaf]
        return found


@dataclass(frozen=True)
class Boosted:
    """The fitted trees; called on rows of codes, shape (n, k), it gives log odds, shape (n,)."""

    trees: tuple[Tree, ...]

    def __call__(self, rows: Array) -> Array:
        found = np.zeros(len(rows))
        for tree in self.trees:
            found += tree(rows)
        return found


def boost(coded: Coded, labels: Array) -> Boosted:
    """Fit trees that tell rows with label 1 from those with 0; labels have shape (n,)."""
    rows, ordered = coded.rows, np.array(coded.ordered)
    flat = rows.astype(np.intp) + np.arange(rows.shape[1]) * CODES
    score, trees = np.zeros(len(rows)), []
    for _ in range(TREES):
        chance = 1 / (1 + np.exp(-score))
        gradient, weight = labels - chance, chance * (1 - chance)
        everything = np.arange(len(rows))
        first = _best(flat, gradient, weight, everything, ordered)
        if first is None:
            break
        goes_left = first.left[rows[:, first.column]]
        sides = [np.flatnonzero(goes_left), np.flatnonzero(~goes_left)]
        then = [_best(flat, gradient, weight, side, ordered) for side in sides]
        leaves = np.zeros(4)
        for number, (side, split) in enumerate(zip(sides, then, strict=True)):
            parts = [side] if split is None else _parts(rows, side, split)
            for place, part in enumerate(parts):
                leaves[number * 2 + place] = _RATE * gradient[part].sum() / (weight[part].sum() + _RIDGE)
        tree = Tree(first, (then[0], then[1]), leaves)
        score += tree(rows)
        trees.append(tree)
    return Boosted(tuple(trees))


def _parts(rows: Array, side: Array, split: Split) -> list[Array]:
    left = split.left[rows[side, split.column]]
    return [side[left], side[~left]]


def _best(flat: Array, gradient: Array, weight: Array, side: Array, ordered: Array) -> Split | None:
    """Return the split of these rows that gains most, None where none gains."""
    columns = flat.shape[1]
    if not len(side) or not columns:
        return None
    places = flat[side].ravel()
    sums = np.bincount(places, np.repeat(gradient[side], columns), columns * CODES).reshape(columns, CODES)
    weights = np.bincount(places, np.repeat(weight[side], columns), columns * CODES).reshape(columns, CODES)
    # Levels have no order of their own: the best split of them is one by their mean (Fisher 1958).
    mean = np.where(weights > 0, sums / np.maximum(weights, 1e-12), 0.0)
    order = np.where(ordered[:, None], np.arange(CODES)[None, :], np.argsort(mean, axis=1, kind="stable"))
    left, heavy = (np.cumsum(np.take_along_axis(each, order, 1), axis=1) for each in (sums, weights))
    total, all_weight = left[:, -1:], heavy[:, -1:]
    right, light = total - left, all_weight - heavy
    gain = left**2 / (heavy + _RIDGE) + right**2 / (light + _RIDGE) - total**2 / (all_weight + _RIDGE)
    gain[(heavy < _LEAF) | (light < _LEAF)] = -np.inf
    best = int(np.argmax(gain))
    column, at = divmod(best, CODES)
    if not gain[column, at] > 1e-9:
        return None
    goes_left = np.zeros(CODES, bool)
    goes_left[order[column, : at + 1]] = True
    return Split(column, goes_left)
