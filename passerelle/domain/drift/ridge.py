"""Small linear models with a penalty, logistic or plain: few coefficients say what is to be expected of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_STEPS: Final = 12
_FLAT: Final = 1e-4
#: Beyond these log-odds a probability is certain, and its weight in the fit would be nought.
_FAR: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Rows to fit: `design` of shape (n, k), `target` of shape (n,): shares or 0/1 where it is `logistic`."""

    design: Array
    target: Array
    logistic: bool

    def part(self, rows: Array) -> Problem:
        """Return these rows only."""
        return Problem(design=self.design[rows], target=self.target[rows], logistic=self.logistic)

    def loss(self, coefficients: Array) -> Array:
        """Return each row's loss: minus log likelihood, or squared error."""
        found = predicted(self.design, coefficients, logistic=self.logistic)
        if not self.logistic:
            return np.asarray((self.target - found) ** 2)
        sure = np.clip(found, 1e-9, 1 - 1e-9)
        return np.asarray(-self.target * np.log(sure) - (1 - self.target) * np.log1p(-sure))


def predicted(design: Array, coefficients: Array, *, logistic: bool) -> Array:
    """Return what is expected of each row; shape (n,), or (n, m) for coefficients of shape (k, m)."""
    linear = design @ coefficients.astype(design.dtype, copy=False)
    return share(linear) if logistic else linear


def share(log_odds: Array) -> Array:
    """Return the probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -_FAR, _FAR))))


def fit(
    problem: Problem,
    penalty: Array,
    *,
    weights: Array | None = None,
    start: Array | None = None,
    towards: Array | None = None,
    steps: int = _STEPS,
) -> Array:
    """Return the coefficients, shape (k,), of least loss plus half the penalty times their squares (Newton's method).

    Parameters
    ----------
    penalty : shape (k,); np.inf leaves a column out. weights : of rows, shape (n,).
    start : coefficients that are near. steps : at most so many; from near coefficients one is enough for a bootstrap.
    towards : what the penalty draws the coefficients to instead of nought, shape (k,).
    """
    kept = np.isfinite(penalty)
    design, penalties = problem.design[:, kept], penalty[kept]
    weights = np.ones(len(design), np.float32) if weights is None else weights.astype(np.float32)
    found = np.zeros(kept.sum()) if start is None else start[kept].astype(np.float64)
    aim = np.zeros(kept.sum()) if towards is None else towards[kept]
    for _ in range(steps if problem.logistic else 1):
        expected = predicted(design, found, logistic=problem.logistic)
        bend = (weights * expected * (1 - expected) if problem.logistic else weights).astype(np.float32)
        slope = design.T @ (weights * (problem.target - expected)).astype(np.float32)
        system = ((design * bend[:, None]).T @ design).astype(np.float64) + np.diag(penalties + 1e-3)
        step = np.linalg.solve(system, slope.astype(np.float64) - penalties * (found - aim))
        found = found + step
        if np.abs(step).max(initial=0) < _FLAT:
            break
    full = np.zeros(len(penalty))
    full[kept] = found
    return full


def drawn_aims(problem: Problem, penalty: Array, left: float, rng: np.random.Generator) -> Array:
    """Return what the penalty takes coefficients to be, drawn: refits towards it are as unsure as what it holds back.

    Drawn weights alone say how sure data are, and where there are few a penalty is always sure (Pearce et al. 2020,
    arXiv 1810.05546, on such draws).

    Parameters
    ----------
    left : variance of the target around its expectation, which the penalty of a plain model is measured by.
    """
    held = np.isfinite(penalty) & (penalty > 0)
    spread = np.sqrt((1.0 if problem.logistic else left) / np.where(held, penalty, 1.0))
    return np.asarray(np.where(held, spread * rng.standard_normal(len(penalty)), 0.0))
