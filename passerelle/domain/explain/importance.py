"""Permutation importance (Breiman 2001, Machine Learning 45): how much worse the metric is with a column shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from passerelle.domain.explain.contributions import Floats


def permutation_costs(
    score: Callable[[pd.DataFrame], float | None],
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    seed: int,
    greater_is_better: bool,
    repeats: int = 1,
) -> Floats:
    """Return what shuffling each column costs, shape (n_columns, repeats), in units of the metric.

    A score that is undefined counts as no loss.
    """
    sign = 1.0 if greater_is_better else -1.0
    whole = score(frame) or 0.0
    generator = np.random.default_rng(seed)
    costs = np.empty((len(columns), repeats))
    for repeat in range(repeats):
        order = generator.permutation(len(frame))
        for place, name in enumerate(columns):
            value = score(frame.assign(**{name: frame[name].to_numpy()[order]}))
            costs[place, repeat] = sign * (whole - value) if value is not None else 0.0
    return costs
