"""Intervals of shares, quantiles and their differences that hold for few rows, too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import Estimate

Array = npt.NDArray[Any]


def normal_quantile(share: float) -> float:
    """Return the value below which a standard normal variable lies with this probability."""
    from scipy import special

    return float(special.ndtri(share))


def share_interval(share: float, of: float, level: float = 0.95) -> Estimate:
    """Return a share with its score interval (Wilson 1927, Journal of the American Statistical Association 22).

    It keeps its level near 0 and 1, where the textbook's is a point (Brown, Cai & DasGupta 2001, Statistical Science
    16). `of` may be less than the number of rows where these depend on each other.
    """
    if of <= 0:
        return Estimate(value=share, lower=0.0, upper=1.0)
    z = normal_quantile((1 + level) / 2)
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return Estimate(value=share, lower=max(0.0, min(share, middle - half)), upper=min(1.0, max(share, middle + half)))


def quantile_interval(values: Array, share: float, level: float = 0.95) -> Estimate:
    """Return a quantile between two order statistics, whatever the distribution.

    How many of n independent values lie below the quantile is binomial (David & Nagaraja 2003, Order Statistics,
    section 7.1). A bound is None where n is too small: the p99 of fewer than 368 values has no upper one at 95 %.

    Parameters
    ----------
    values : at least one, shape (n,).
    """
    from scipy import stats

    ordered = np.sort(values)
    first, last = (int(stats.binom.ppf(tail, len(ordered), share)) for tail in ((1 - level) / 2, (1 + level) / 2))
    return Estimate(
        value=float(np.quantile(ordered, share)),
        lower=float(ordered[first - 1]) if first >= 1 else None,
        upper=float(ordered[last]) if last < len(ordered) else None,
    )


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return one less the other, from the intervals of two independent figures.

    Method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27; of two shares it is method 10
    of Newcombe 1998, Statistics in Medicine 17). Where both vary together, as with copies of the same requests, the
    interval is too wide rather than too narrow.
    """
    between = one.value - other.value
    return Estimate(
        value=between,
        lower=_less(between, one.value, one.lower, other.value, other.upper),
        upper=_more(between, one.value, one.upper, other.value, other.lower),
    )


def _less(between: float, one: float, lower: float | None, other: float, upper: float | None) -> float | None:
    return None if lower is None or upper is None else between - math.hypot(one - lower, upper - other)


def _more(between: float, one: float, upper: float | None, other: float, lower: float | None) -> float | None:
    return None if lower is None or upper is None else between + math.hypot(upper - one, other - lower)
