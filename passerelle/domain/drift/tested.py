"""Whether two windows of counts may come from one population: p-values whose null knows the size of both.

A window and its reference are two rows of counts over the same cells. Nothing is drawn, so equal counts give equal
answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.tails import (
    chi_square_tail,
    combined,
    same_share,
    skewed_tail,
    skewed_two_sided,
    two_pairs_tail,
    two_sided,
)

Array = npt.NDArray[Any]

#: A cell of the chi-square test is expected to hold this many of the smaller window (Cochran 1954, Biometrics 10).
EXPECTED: Final = 5.0
#: Smooth components of ranks: place, spread, skew and weight of the tails.
COMPONENTS: Final = 4
#: What the latter two weigh beside the first two.
_LESS: Final = 0.3


def ordered_p_value(current: Array, reference: Array, tails: tuple[int, int] = (0, 0)) -> float:
    """Return the p-value of one distribution over ordered cells.

    Looks of different kinds, combined: where the middle lies, and how far values spread (linear rank statistics of
    normal scores, van der Waerden's and Klotz's); middle, spread, skew and weight of the tails together (four smooth
    components of ranks, the latter two with less weight; Neyman 1937, for two samples Wylupek 2010, Journal of
    Nonparametric Statistics 22); the last of these by itself, as two peaks in the place of one show there; the cells,
    whatever they say (chi-square); and the rows in either tail (Fisher's exact test). Weights were found by simulation.

    Parameters
    ----------
    current, reference : counts of the cells in order, shape (k,) each.
    tails : how many cells at either end are tails.
    """
    n, m = int(current.sum()), int(reference.sum())
    if not n or not m:
        return 1.0
    found = components(current, reference)
    low, high = tails
    beyond = [(int(current[:low].sum()), int(reference[:low].sum()))]
    beyond.append((int(current[len(current) - high :].sum()), int(reference[len(reference) - high :].sum())))
    rest = [
        (cells_p_value(current, reference), 0.05),
        *((same_share(hits, n, of, m), 0.1) for hits, of in beyond),
    ]
    if len(found) < COMPONENTS:
        place = two_sided(float(found[0])) if len(found) else 1.0
        return combined([(place, 0.25), (chi_square_tail(float(found @ found), len(found)), 0.5), *rest])
    smooth = two_pairs_tail(float(found[:2] @ found[:2] + _LESS * (found[2:] @ found[2:])), _LESS)
    (place, spread), (_, skew) = _normal_scores(current, reference)
    middle, width, peaks = two_sided(place), skewed_two_sided(spread, skew), two_sided(float(found[3]))
    return combined([(middle, 0.25), (width, 0.05), (smooth, 0.4), (peaks, 0.05), *rest])


def components(current: Array, reference: Array) -> Array:
    """Return up to four smooth components, independent and standard normal where both windows are one population.

    Each is the difference of the windows' means of a polynomial of the pooled mid-rank; the polynomials are
    orthonormal over the pooled cells. As rank statistics their variance is the permutation's.
    """
    return _contrasts(current, reference, lambda ranks: 2 * ranks - 1, COMPONENTS)[0]


def _normal_scores(current: Array, reference: Array) -> tuple[Array, Array]:
    """Return the components of place and spread by normal scores, and the skewness of each; shape (2,) each.

    Place: van der Waerden 1952; spread: Klotz 1962, Annals of Mathematical Statistics 33. The normal law's inverse is
    Tukey's lambda, a hundredth near; scores need no more.
    """
    return _contrasts(current, reference, lambda ranks: 4.91 * (ranks**0.14 - (1 - ranks) ** 0.14), 2)


def _contrasts(current: Array, reference: Array, scored: Callable[[Array], Array], most: int) -> tuple[Array, Array]:
    """Return the difference of the windows' means of each polynomial of scored ranks, and its skewness.

    The skewness is what the counts of both windows leave of the polynomial's own (a sum's, by its cumulants).
    """
    n, m = float(current.sum()), float(reference.sum())
    pooled = (current + reference) / (n + m)
    held = pooled > 0
    pooled, change = pooled[held], (current / n - reference / m)[held]
    degree = min(most, len(pooled) - 1)
    if degree < 1:
        return np.empty(0), np.empty(0)
    ranks = np.cumsum(pooled) - pooled / 2
    root = np.sqrt(pooled)
    basis, upper = np.linalg.qr(root[:, None] * np.vander(scored(ranks), degree + 1, increasing=True))
    scale = math.sqrt(n * m / (n + m) * (n + m - 1) / (n + m))
    polynomials = basis[:, 1:] / root[:, None] * np.sign(np.diag(upper)[1:])
    skew = (pooled @ polynomials**3) * (1 / n**2 - 1 / m**2) / (1 / n + 1 / m) ** 1.5
    return scale * (polynomials.T @ change), skew


def cells_p_value(current: Array, reference: Array) -> float:
    """Return the p-value of Pearson's chi-square test over ordered cells; neighbours of few rows count together."""
    return _pearson(*neighbours(current, reference))


@dataclass(frozen=True)
class RareLevels:
    """What a reference foretells of levels without a counter, in classes by how rare they are.

    `counted` is how many cells before theirs are of one level each, `levels` how many levels there are in all, and
    `variances` (shape (classes,), in the order of the cells) those of the shares of rows that are foretold.
    """

    counted: int
    levels: int
    variances: Array


def levels_p_value(current: Array, reference: Array, rare: RareLevels | None = None) -> float:
    """Return the p-value of one distribution over levels without an order.

    Pearson's chi-square, with the rarest levels taken together; the one level that moved most (Fisher's exact at
    mid-p, Bonferroni over levels); and rows that go from frequent levels to rare ones, each a little, which the others
    hardly see, or back, which weighs less as it shows at the frequent ones. Weights were chosen by simulation.

    Parameters
    ----------
    current, reference : counts of the cells, shape (k,) each; the last is of all levels that no other cell knows.
    rare : given where cells are of several levels, and counts foretold ones: they come in the reference's order, the
        most frequent first, as one that heeds the window's counts would sort by what it has by chance.
    """
    n, m = int(current.sum()), int(reference.sum())
    if not n or not m:
        return 1.0
    now, before = (_counted(each, rare) for each in (current, reference))
    whole = _pearson(*(rarest_together if rare is None else neighbours)(now, before))
    levels = np.count_nonzero(now + before)
    if levels <= 2:
        return whole
    share = (now + before) / (n + m)
    moved = np.abs(now / n - before / m) / np.sqrt(np.maximum(share * (1 - share), 1e-12))
    at = int(np.argmax(moved))
    one = min(1.0, same_share(int(now[at]), n, int(before[at]), m, mid=True) * levels)
    towards, back = _towards_rare(current, reference, rare)
    return combined([(whole, 0.25), (one, 0.25), (towards, 0.4), (back, 0.1)])


def _counted(cells: Array, rare: RareLevels | None) -> Array:
    return cells if rare is None else np.append(cells[: rare.counted], cells[rare.counted :].sum())


def _towards_rare(current: Array, reference: Array, rare: RareLevels | None) -> tuple[float, float]:
    """Return the p-values of rows going to rarer levels, and to more frequent ones: a linear rank statistic.

    A row scores k to the power of its mid-rank by frequency, of k levels. Where shares fall as 1/rank (Zipf's law) and
    some rows are spread evenly over the levels instead, that is in proportion to the likelihood ratio.
    """
    n, m = float(current.sum()), float(reference.sum())
    pooled, beyond = (current + reference) / (n + m), np.zeros(len(current))
    order = np.arange(len(current))
    if rare is None:
        order[:-1] = np.argsort(-pooled[:-1], kind="stable")
    else:
        classes = slice(rare.counted, rare.counted + len(rare.variances))
        beyond[classes] = np.maximum(0.0, rare.variances - reference[classes] / m**2)
    pooled, change = pooled[order], (current / n - reference / m)[order]
    levels = np.count_nonzero(pooled) if rare is None else rare.levels
    scores = float(max(2, levels)) ** (np.cumsum(pooled) - pooled / 2)
    scores -= pooled @ scores
    spread = float(pooled @ scores**2)
    variance = spread * (1 / n + 1 / m) * (n + m) / (n + m - 1) + float(scores**2 @ beyond)
    skew = float(pooled @ scores**3) / spread**1.5 * (1 / n**2 - 1 / m**2) / (1 / n + 1 / m) ** 1.5
    z = float(scores @ change) / math.sqrt(variance)
    return skewed_tail(z, skew), skewed_tail(-z, -skew)


def _pearson(current: Array, reference: Array) -> float:
    if len(current) < 2:
        return 1.0
    n, m = float(current.sum()), float(reference.sum())
    together = current + reference
    share = together / (n + m)
    value = float((((current - n * share) ** 2) / share).sum() * (n + m) / (n * m))
    return chi_square_tail(value * (n + m - 1) / (n + m), len(current) - 1)


def neighbours(current: Array, reference: Array) -> tuple[Array, Array]:
    """Take neighbouring cells together, from the first on, until each is expected to hold EXPECTED rows."""
    n, m = float(current.sum()), float(reference.sum())
    expected = (current + reference) * (min(n, m) / (n + m))
    starts, held = [0], 0.0
    for at, value in enumerate(expected):
        held += value
        if held >= EXPECTED and at + 1 < len(expected):
            starts.append(at + 1)
            held = 0.0
    if held < EXPECTED and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(current, starts), np.add.reduceat(reference, starts)


def rarest_together(current: Array, reference: Array) -> tuple[Array, Array]:
    """Take the rarest levels together: all that are expected to hold too few, and more until these hold enough."""
    order = np.argsort(-(current + reference), kind="stable")
    return neighbours(current[order], reference[order])
