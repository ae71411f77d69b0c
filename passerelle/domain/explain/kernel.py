"""Shapley values of any model, asked as a black box (Kernel SHAP: Lundberg and Lee 2017, theorem 2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.domain.explain.contributions import Floats

#: Answers of shape (n_rows, n_outputs) for a frame.
Model = Callable[[pd.DataFrame], Floats]
Masks = npt.NDArray[np.bool_]
#: Up to so many columns every coalition is asked about, and the values are exact.
EXACT_COLUMNS: Final = 8
COALITIONS: Final = 256


def kernel_shap(
    model: Model, frame: pd.DataFrame, background: pd.DataFrame, *, seed: int, coalitions: int = COALITIONS
) -> tuple[Floats, Floats]:
    """Return (values of shape (n_rows, n_columns, n_outputs), base of shape (n_outputs,)).

    A column that is not in a coalition takes its values from the background rows. The values add up exactly to what
    the model answers; with more than `EXACT_COLUMNS` columns they are estimated from `coalitions` of them.
    """
    base = model(background).mean(axis=0)
    wholes = model(frame)
    width = frame.shape[1]
    if width == 1:
        return np.asarray(wholes - base)[:, None, :], base
    masks, weights = _coalitions(width, coalitions, seed)
    values = np.empty((len(frame), width, wholes.shape[1]))
    for index, whole in enumerate(wholes):
        answers = model(mixed(frame.iloc[[index]], background, masks))
        means = answers.reshape(len(masks), len(background), -1).mean(axis=1)
        values[index] = _solve(masks, weights, means - base, whole - base)
    return values, base


def mixed(row: pd.DataFrame, background: pd.DataFrame, masks: Masks) -> pd.DataFrame:
    """Return the background once for each mask, with the row's value in the columns that the mask names."""
    columns: dict[Any, Any] = {}
    for place, name in enumerate(row.columns):
        own, others = row[name].to_numpy(), background[name].to_numpy()
        columns[name] = np.where(masks[:, place, None], own, others[None, :]).ravel()
    return pd.DataFrame(columns)


def _coalitions(width: int, most: int, seed: int) -> tuple[Masks, Floats]:
    """Return coalitions, neither empty nor whole, and the Shapley kernel's weight of each."""
    if width <= EXACT_COLUMNS:
        found = [chosen for size in range(1, width) for chosen in combinations(range(width), size)]
        masks = np.zeros((len(found), width), dtype=bool)
        for mask, chosen in zip(masks, found, strict=True):
            mask[list(chosen)] = True
        sizes = masks.sum(axis=1)
        return masks, np.asarray([(width - 1) / (comb(width, size) * size * (width - size)) for size in sizes])
    # Drawn by their weight, each with its complement (Covert and Lee 2021, arXiv:2012.01536: less variance).
    generator = np.random.default_rng(seed)
    sizes = np.arange(1, width)
    chances = (width - 1) / (sizes * (width - sizes))
    drawn = generator.choice(sizes, size=most // 2, p=chances / chances.sum())
    ranks = np.argsort(generator.random((len(drawn), width)), axis=1)
    half = ranks < drawn[:, None]
    masks, counts = np.unique(np.concatenate([half, ~half]), axis=0, return_counts=True)
    return masks, counts.astype(np.float64)


def _solve(masks: Masks, weights: Floats, gains: Floats, whole: Floats) -> Floats:
    """Weighted least squares under the constraint that the values add up to `whole`: the last column is the rest."""
    design = masks[:, :-1].astype(np.float64) - masks[:, -1:]
    target = gains - masks[:, -1:] * whole
    root = np.sqrt(weights)[:, None]
    values, *_ = np.linalg.lstsq(design * root, target * root, rcond=None)
    return np.vstack([values, whole - values.sum(axis=0)])
