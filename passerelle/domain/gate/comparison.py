"""Two models on the same rows: how much better one is, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.container import PairedDifference

Array = npt.NDArray[Any]
#: An interval needs the metric on at least this share of the resamples.
_DEFINED: Final = 0.5
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Comparison:
    """How much better the challenger is, and the same on resamples of the rows; more is better whatever the metric."""

    better: float
    resampled: Array
    blocks: int

    @property
    def standard_error(self) -> float:
        return float(np.std(self.resampled, ddof=1))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the percentile interval (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13)."""
        lower, upper = np.quantile(self.resampled, [(1 - level) / 2, (1 + level) / 2])
        return float(lower), float(upper)

    def sureness(self, at_least: float) -> float:
        """Return how sure it is that the challenger is better by `at_least`: the share of resamples that say so."""
        return float(np.mean(self.resampled >= at_least - _ROUNDING))

    def p_worse(self) -> float:
        """Return the one-sided p-value of being worse: Student's t with the bootstrap's standard error.

        A count of resamples cannot go below 1 in their number, too coarse for false-discovery control over many.
        """
        from scipy import stats

        if self.standard_error <= _ROUNDING:
            return 0.0 if self.better < -_ROUNDING else 1.0
        return float(stats.t.cdf(self.better / self.standard_error, max(1, self.blocks - 1)))

    def figures(self) -> PairedDifference:
        """Return what is recorded."""
        lower, upper = self.interval()
        return PairedDifference(better=self.better, lower=lower, upper=upper, standard_error=self.standard_error)


def compare(better: float, resampled: Array, blocks: int) -> Comparison | None:
    """Return a comparison, None where the figure or too many of its resamples are undefined."""
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(better) or len(known) < max(2, _DEFINED * len(resampled)):
        return None
    return Comparison(better, known, blocks)


def told(comparison: Comparison, unit: str = "") -> str:
    """Return the difference in words: by how much, and the interval."""
    lower, upper = comparison.interval()
    word = "better" if comparison.better >= 0 else "worse"
    return f"{word} by {abs(comparison.better):.4f}{unit} (95 % interval {lower:+.4f} to {upper:+.4f})"
