"""How much is lost with age: models of different ages compared on the same periods, with what one cannot know of them.

A score is that of its period (a hard one is hard for every model), less what is lost with the model's age, plus what
the world did between trainings, plus chance:

    score[s, t] = period[s] - loss[s - t] + world[t] + chance[s, t]

`world` is a random walk over training times: what changed in the world between two trainings happened once, however
many periods show it. That is why a long history of few changes says little about the next one, and why intervals grow
with age. A model that was better by chance counts as such a change too, which makes intervals wider, never narrower.
Variances are estimated by restricted maximum likelihood (Patterson & Thompson 1971, Biometrika 58), by Fisher's scoring
with those that would be negative set to 0; losses by generalised least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.backtest import BacktestCell
from passerelle.domain.drift.arrivals import student_tail

Array = npt.NDArray[Any]
#: An age that fewer periods show is not looked at.
LEAST_PERIODS: Final = 3
#: With fewer trainings, how much they differ is not known.
LEAST_TRAININGS: Final = 4
_ROUNDS: Final = 50
_LEVEL: Final = 0.95


@dataclass(frozen=True)
class Ageing:
    """The loss at each of `ages` beside age 1, its standard errors, and the loss per period of age with its own.

    `width` is how many standard errors a 95 % interval reaches to either side; `periods` show each age.
    """

    ages: Array
    loss: Array
    errors: Array
    slope: float
    slope_error: float
    width: float
    periods: Array


def compared(cells: Sequence[BacktestCell]) -> list[BacktestCell]:
    """Return the cells that can be compared: of ages that enough periods show, on periods with more than one model."""
    kept = [cell for cell in cells if np.isfinite(cell.score)]
    while True:
        scored, ages = (
            dict(zip(*np.unique([getattr(cell, name) for cell in kept], return_counts=True), strict=True))
            for name in ("scored", "age")
        )
        good = [cell for cell in kept if scored[cell.scored] > 1 and ages[cell.age] >= LEAST_PERIODS]
        if len(good) == len(kept):
            return good
        kept = good


def enough(cells: Sequence[BacktestCell]) -> bool:
    """Return whether there are trainings enough, and ages to compare."""
    ages = {cell.age for cell in cells}
    return len({cell.trained for cell in cells}) >= LEAST_TRAININGS and 1 in ages and len(ages) > 1


def age_losses(cells: Sequence[BacktestCell], values: Array, *, sampled: bool = True) -> Ageing:
    """Return what is lost with age.

    Parameters
    ----------
    cells : `enough` of those that can be `compared`.
    values : of each, its score or its money per row, more is better, shape (cells,).
    sampled : whether the cells' resamples and standard errors are of these values.
    """
    scored, trained = (np.asarray([getattr(cell, name) for cell in cells]) for name in ("scored", "trained"))
    ages, periods, trainings = np.unique(scored - trained), np.unique(scored), np.unique(trained)
    by_period = (scored[:, None] == periods).astype(np.float64)
    by_age = -((scored - trained)[:, None] == ages[1:]).astype(np.float64)
    older = 1.0 - (scored - trained)[:, None]
    scale = float(np.std(values)) or 1.0
    known = _sampling(cells, scored) / scale**2 if sampled else np.zeros((len(cells), len(cells)))
    parts = [np.minimum(trained[:, None], trained) - float(trained.min()), np.eye(len(cells))]
    full = np.hstack([by_period, by_age])
    spread = known + 1e-12 * np.eye(len(cells))
    for variance, part in zip(_variances(values / scale, full, spread, parts), parts, strict=True):
        spread = spread + variance * part
    weights = np.linalg.inv(spread)
    found, errors = _least_squares(full, values, weights, scale)
    line, line_errors = _least_squares(np.hstack([by_period, older]), values, weights, scale)
    shown = np.asarray([len(np.unique(scored[scored - trained == age])) for age in ages[1:]])
    return Ageing(
        ages=ages[1:],
        loss=found[len(periods) :],
        errors=errors[len(periods) :],
        slope=float(line[-1]),
        slope_error=float(line_errors[-1]),
        width=student_width(len(trainings) - 2),
        periods=shown,
    )


def student_width(freedom: int) -> float:
    """Return how many standard errors an interval of 95 % by Student's law reaches to either side."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, max(1, freedom)) > 1 - _LEVEL else (low, middle)
    return high


def _sampling(cells: Sequence[BacktestCell], scored: Array) -> Array:
    """Return the covariance that drawing other rows of the same periods would give the scores.

    Models that are scored on the same resamples vary together, which comparing them takes away.
    """
    spread = np.diag([(cell.standard_error or 0.0) ** 2 for cell in cells])
    for period in np.unique(scored):
        places = [int(place) for place in np.flatnonzero(scored == period)]
        drawn = [cells[place].resamples for place in places]
        if len({len(one) for one in drawn}) == 1 and len(drawn[0]) > 1:
            matrix = np.asarray(drawn, dtype=np.float64)
            matrix = matrix[:, np.all(np.isfinite(matrix), axis=0)]
            if matrix.shape[1] > 1:
                spread[np.ix_(places, places)] = np.cov(matrix)
    return spread


def _variances(values: Array, design: Array, known: Array, parts: Sequence[Array]) -> Array:
    """Return how much of each part there is in what `known` does not explain (Fisher's scoring, none below 0)."""
    found = np.full(len(parts), 0.1)
    for turn in range(_ROUNDS):
        spread = known + sum(variance * part for variance, part in zip(found, parts, strict=True))
        inverse = np.linalg.inv(spread)
        pressed = inverse @ design
        project = inverse - pressed @ np.linalg.pinv(design.T @ pressed) @ pressed.T
        rest = project @ values
        seen = [project @ part for part in parts]
        score = np.asarray(
            [rest @ part @ rest - np.sum(one * (project @ known).T) for one, part in zip(seen, parts, strict=True)]
        )
        information = np.asarray([[np.sum(one * other.T) for other in seen] for one in seen])
        new = _not_negative(information, score)
        if np.allclose(new, found, rtol=1e-4, atol=1e-9):
            break
        # Half steps: whole ones may swing to and fro.
        found = new if turn > _ROUNDS // 2 else (new + found) / 2
    return found


def _not_negative(information: Array, score: Array) -> Array:
    kept = np.ones(len(score), dtype=bool)
    while kept.any():
        found = np.zeros(len(score))
        found[kept] = np.linalg.lstsq(information[np.ix_(kept, kept)], score[kept], rcond=None)[0]
        if (found >= 0).all():
            return found
        kept[np.argmin(found)] = False
    return np.zeros(len(score))


def _least_squares(design: Array, values: Array, weights: Array, scale: float) -> tuple[Array, Array]:
    """Return coefficients and their standard errors, in the units of the values."""
    pressed = weights @ design
    covariance = np.linalg.pinv(design.T @ pressed)
    return covariance @ pressed.T @ values, scale * np.sqrt(np.maximum(np.diag(covariance), 0.0))
