"""Monotone constraints: given to the models that can keep them, and looked for in every fitted one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.bundle import SignatureColumn

SIGNS: Final[Mapping[str, int]] = {"increasing": 1, "decreasing": -1}
ROWS: Final = 200
STEPS: Final = 16
#: Relative to the answers' spread: XGBoost adds in single precision.
TOLERANCE: Final = 1e-6


def constraints(inputs: Sequence[SignatureColumn], times: int, monotone: Mapping[str, str]) -> list[int]:
    """Return 1, -1 or 0 for every column that the trees' encoder gives: numbers first, then texts, then times.

    Parameters
    ----------
    times : how many numbers are derived from each datetime.
    """
    numbers = [column.name for column in inputs if column.type in ("integer", "number", "boolean")]
    texts = sum(column.type in ("category", "text") for column in inputs)
    moments = times * sum(column.type == "datetime" for column in inputs)
    return [*(SIGNS.get(monotone.get(name, ""), 0) for name in numbers), *([0] * (texts + moments))]


def constrain(model: Any, signs: Sequence[int]) -> None:
    """Tell a model its constraints, where it knows any; scikit-learn's trees and XGBoost do."""
    known = model.get_params(deep=False)
    if "monotonic_cst" in known:
        model.set_params(monotonic_cst=list(signs))
    elif "monotone_constraints" in known:
        model.set_params(monotone_constraints=f"({','.join(map(str, signs))})")


def broken_constraint(
    answer: Callable[[pd.DataFrame], npt.NDArray[Any]],
    frame: pd.DataFrame,
    monotone: Mapping[str, str],
    *,
    seed: int,
) -> str | None:
    """Return which constraint a fitted model breaks, None when none: rows are asked again with the column moved.

    Whatever the model is, it is judged by its answers (individual conditional expectation: Goldstein, Kapelner, Bleich,
    Pitkin 2015), so that a linear model counts whose coefficients have the right signs by themselves.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(frame))[:ROWS])
    rows = frame.iloc[chosen].reset_index(drop=True)
    for name, direction in monotone.items():
        values = np.unique(frame[name].dropna()) if name in frame else np.zeros(0)
        if len(values) < 2:
            continue
        grid = np.unique(np.quantile(values, np.linspace(0, 1, STEPS)))
        asked = pd.concat([rows.assign(**{name: value}) for value in grid], ignore_index=True)
        answers = np.asarray(answer(asked), dtype=np.float64).reshape(len(grid), len(rows))
        worst = float((SIGNS[direction] * np.diff(answers, axis=0)).min())
        if worst < -TOLERANCE * max(float(np.ptp(answers)), 1e-9):
            return f"its answer is not {direction} in {name}: it moves the other way by up to {-worst:.3g}"
    return None
