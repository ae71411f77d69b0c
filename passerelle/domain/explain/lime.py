"""A local surrogate: a weighted linear model of what the model answers around one row (Ribeiro, Singh, Guestrin 2016,
"Why should I trust you?"). For tables, as in the authors' package: a column is kept (1) or replaced (0) by a value of
other rows, numbers count as kept while they stay in the row's quarter of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.domain.explain.contributions import Floats
from passerelle.domain.explain.kernel import Model

SAMPLES: Final = 1_000
#: The ridge penalty of the authors' package.
PENALTY: Final = 1.0


@dataclass(frozen=True)
class Surrogate:
    """`weights` of shape (n_columns, n_outputs): what it does to the answer that a column is as it is in this row.

    `fit` is the weighted R² of the surrogate, shape (n_outputs,): near 1 where the model is about linear there.
    """

    columns: tuple[str, ...]
    weights: Floats
    intercept: Floats
    fit: Floats


def lime(model: Model, row: pd.DataFrame, background: pd.DataFrame, *, seed: int, samples: int = SAMPLES) -> Surrogate:
    """Return the surrogate around one row; every column is drawn by itself from the background rows."""
    generator = np.random.default_rng(seed)
    drawn: dict[Any, Any] = {}
    same = np.ones((samples + 1, row.shape[1]))
    for place, name in enumerate(row.columns):
        own, values = row[name].iloc[0], background[name].to_numpy()
        picked = values[generator.integers(0, len(values), samples)]
        column = np.concatenate([row[name].to_numpy(), picked])
        same[1:, place] = _bins(picked, values) == _bins(np.asarray([own], dtype=values.dtype), values)
        drawn[name] = column
    answers = model(pd.DataFrame(drawn))
    width = 0.75 * np.sqrt(same.shape[1])
    distance = np.sqrt((1 - same).sum(axis=1))
    closeness = np.sqrt(np.exp(-(distance**2) / width**2))
    return _fit(same, answers, closeness, tuple(map(str, row.columns)))


def _bins(values: npt.NDArray[Any], reference: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what counts as the same value: the quarter of a number or moment, the level of a text; gaps are one."""
    if values.dtype.kind == "O":
        return np.asarray(["" if value is None else f"={value}" for value in values], dtype=object)
    gaps = pd.isna(values)
    numbers, others = (np.where(pd.isna(part), 0, part.astype(np.float64)) for part in (values, reference))
    known = others[~pd.isna(reference)]
    quarters = np.unique(np.quantile(known, (0.25, 0.5, 0.75))) if len(known) else known
    return np.where(gaps, -1, np.searchsorted(quarters, numbers, side="left"))


def _fit(same: Floats, answers: Floats, weights: Floats, columns: tuple[str, ...]) -> Surrogate:
    """Weighted ridge regression with a free intercept."""
    share = weights / weights.sum()
    centre, middle = share @ same, share @ answers
    design, target = same - centre, answers - middle
    weighted = design * weights[:, None]
    slopes = np.linalg.solve(design.T @ weighted + PENALTY * np.eye(same.shape[1]), weighted.T @ target)
    left = share @ (target - design @ slopes) ** 2
    spread = share @ target**2
    fit = 1 - np.divide(left, spread, out=np.zeros_like(left), where=spread > 0)
    return Surrogate(columns, slopes, middle - centre @ slopes, fit)
