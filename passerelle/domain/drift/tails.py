"""Tail probabilities, without SciPy: what takes it a second to import takes these a few microseconds a call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

_TINY: Final = 1e-300
_ENOUGH: Final = 1e-15
_TERMS: Final = 10_000
_MANY: Final = 2_000
#: Less skewness than this moves a p-value of 2e-4 by a fifth at most.
_EVEN: Final = 0.02


def normal_tail(z: float) -> float:
    """Return P(Z > z) of a standard normal variable."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def two_sided(z: float) -> float:
    """Return P(|Z| > |z|) of a standard normal variable."""
    return math.erfc(abs(z) / math.sqrt(2))


def skewed_tail(z: float, skew: float) -> float:
    """Return P(Z > z) of a standardised variable with this skewness: a shifted gamma law (Pearson 1895).

    A sum of squares of few rows has such a law nearly; the normal law would call its upper tail too rare.
    """
    if abs(skew) < _EVEN:
        return normal_tail(z)
    shape = 4 / skew**2
    along = chi_square_tail(2 * (shape + math.copysign(z, z * skew) * math.sqrt(shape)), 2 * shape)
    return along if skew > 0 else 1 - along


def skewed_two_sided(z: float, skew: float) -> float:
    """Return twice the smaller tail of a standardised variable with this skewness (`skewed_tail`)."""
    upper = skewed_tail(z, skew)
    return min(1.0, 2 * min(upper, 1 - upper))


def chi_square_tail(value: float, freedom: float) -> float:
    """Return P(X > value) of a chi-square variable with `freedom` degrees of freedom.

    The regularised incomplete gamma function, by its series below the mean and its continued fraction above it
    (Press et al. 2007, Numerical Recipes, section 6.2).
    """
    shape, x = freedom / 2, value / 2
    if x <= 0 or shape <= 0:
        return 1.0
    front = math.exp(-x + shape * math.log(x) - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        for step in range(1, _TERMS):
            term *= x / (shape + step)
            total += term
            if term < total * _ENOUGH:
                break
        return min(1.0, max(0.0, 1 - front * total))
    return min(1.0, front * _continued(shape, x))


def _continued(shape: float, x: float) -> float:
    """Return the continued fraction of the upper incomplete gamma function, by Lentz's method."""
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    found = d
    for step in range(1, _TERMS):
        factor = -step * (step - shape)
        b += 2
        d = 1 / _nonzero(factor * d + b)
        c = _nonzero(b + factor / c)
        found *= d * c
        if abs(d * c - 1) < _ENOUGH:
            break
    return found


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def same_share(hits: int, rows: int, reference_hits: int, reference_rows: int, *, mid: bool = False) -> float:
    """Return the two-sided p-value of two shares being one: Fisher's exact test, twice its smaller tail.

    Given all hits, those of one window are hypergeometric. Within three deviations of what is expected of windows with
    thousands of hits, the normal law with a correction for continuity says the same.

    Parameters
    ----------
    mid : count what was seen by half (Lancaster 1961, Journal of the American Statistical Association 56): of few hits
        the exact test is rarely as small as it says, a part of a combination may be nearer.
    """
    total = rows + reference_rows
    all_hits = hits + reference_hits
    if not rows or not reference_rows or all_hits in (0, total):
        return 1.0
    mean = rows * all_hits / total
    variance = mean * (1 - all_hits / total) * reference_rows / max(1, total - 1)
    z = max(0.0, abs(hits - mean) - (0.0 if mid else 0.5)) / math.sqrt(variance)
    if z < 3 and min(mean, rows - mean, all_hits - mean, total - all_hits - rows + mean) > _MANY:
        return two_sided(z)
    tail = _hypergeometric_tail(hits, rows, all_hits, total, upwards=hits > mean)
    return min(1.0, 2 * tail - (_hypergeometric(hits, rows, all_hits, total) if mid else 0.0))


def _hypergeometric(hits: int, rows: int, all_hits: int, total: int) -> float:
    return math.exp(_log_choose(all_hits, hits) + _log_choose(total - all_hits, rows - hits) - _log_choose(total, rows))


def _hypergeometric_tail(hits: int, rows: int, all_hits: int, total: int, *, upwards: bool) -> float:
    """Return P(X >= hits), or P(X <= hits), from the term at `hits` outwards: each follows from the one before."""
    lowest, highest = max(0, rows + all_hits - total), min(rows, all_hits)
    term = _hypergeometric(hits, rows, all_hits, total)
    sum_, at = term, hits
    while term > sum_ * _ENOUGH and (at < highest if upwards else at > lowest):
        if upwards:
            term *= (all_hits - at) * (rows - at) / ((at + 1) * (total - all_hits - rows + at + 1))
            at += 1
        else:
            term *= at * (total - all_hits - rows + at) / ((all_hits - at + 1) * (rows - at + 1))
            at -= 1
        sum_ += term
    return min(1.0, sum_)


def _log_choose(of: int, some: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def combined(p_values: Iterable[tuple[float, float]]) -> float:
    """Return one p-value of several with weights that sum to 1, by the Cauchy combination.

    It holds whatever their dependence, the better the smaller the result (Liu & Xie 2020, Journal of the American
    Statistical Association 115). A p-value above 0.9 counts as 0.9: tests of counts often say 1, which would outweigh
    whatever the others found.
    """
    total = 0.0
    for p_value, weight in p_values:
        bounded = min(max(p_value, 1e-290), 0.9)
        total += weight * (1 / (bounded * math.pi) if bounded < 1e-15 else math.tan((0.5 - bounded) * math.pi))
    return 1 / (total * math.pi) if total > 1e15 else 0.5 - math.atan(total) / math.pi


def two_pairs_tail(value: float, less: float) -> float:
    """Return P(X > value) of the sum of two chi-square variables of two degrees each, the second times `less`.

    A sum of two exponential variables, for 0 < less < 1 (hypoexponential law).
    """
    slow, quick = math.exp(-value / 2), less * math.exp(-value / 2 / less)
    return min(1.0, max(0.0, (slow - quick) / (1 - less)))


def binomial_tail(hits: int, rows: int, share: float) -> float:
    """Return P(X >= hits) of a binomial variable; the terms are summed from `hits` on."""
    if hits <= 0 or share >= 1:
        return 1.0
    if hits > rows or share <= 0:
        return 0.0
    mean, variance = rows * share, rows * share * (1 - share)
    if hits <= mean - 10 * math.sqrt(variance):
        return 1.0
    term = math.exp(_log_choose(rows, hits) + hits * math.log(share) + (rows - hits) * math.log1p(-share))
    total, at = term, hits
    while at < rows and (at < mean or term > total * _ENOUGH):
        term *= (rows - at) / (at + 1) * share / (1 - share)
        at += 1
        total += term
    return min(1.0, total)


def all_drawn(hits: int, rows: int, total: int) -> float:
    """Return the probability that all `hits` marked ones of `total` are among `rows` drawn without return."""
    return math.exp(_log_choose(rows, hits) - _log_choose(total, hits)) if hits <= rows else 0.0
