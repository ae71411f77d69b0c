"""Whether two windows of counts may come from one population: p-values whose null knows the size of both.

A window and its reference are two rows of counts over the same cells. Nothing is drawn, so equal counts give equal
answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.domain.drift.tails import (
    chi_square_tail,
    combined,
    same_share,
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
    Nonparametric Statistics 22); the cells, whatever they say (chi-square); and the rows in either tail (Fisher's exact
    test). Weights were chosen by simulation.

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
        (cells_p_value(current, reference), 0.1),
        *((same_share(hits, n, of, m), 0.1) for hits, of in beyond),
    ]
    if len(found) < COMPONENTS:
        place = two_sided(float(found[0])) if len(found) else 1.0
        return combined([(place, 0.25), (chi_square_tail(float(found @ found), len(found)), 0.45), *rest])
    smooth = two_pairs_tail(float(found[:2] @ found[:2] + _LESS * (found[2:] @ found[2:])), _LESS)
    (place, spread), (_, skew) = _normal_scores(current, reference)
    return combined([(two_sided(place), 0.25), (skewed_two_sided(spread, skew), 0.05), (smooth, 0.4), *rest])


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


def levels_p_value(current: Array, reference: Array, classes: float | None = None) -> float:
    """Return the p-value of one distribution over levels without an order.

    Pearson's chi-square, with the rarest levels taken together; the one level that moved most (Fisher's exact,
    Bonferroni over levels); and the first smooth component over levels by how frequent both windows together have them:
    the first sees a mix that changes, the second one level of many, the third rows that go from frequent levels to rare
    ones or back, each a little, which the others hardly see; and, where there are any, the classes of levels without a
    counter. Weights were chosen by simulation.

    Parameters
    ----------
    current, reference : counts of the levels, shape (k,) each; the last is of all levels without a counter.
    classes : what `classes_p_value` says of those, where counts are foretold ones: they come in the reference's order,
        the most frequent first, as one that heeds the window's counts would sort by what it has by chance.
    """
    n, m = int(current.sum()), int(reference.sum())
    if not n or not m:
        return 1.0
    together = rarest_together if classes is None else neighbours
    whole = _pearson(*together(current, reference))
    if np.count_nonzero(current + reference) <= 2:
        return whole
    share = (current + reference) / (n + m)
    spread = np.sqrt(np.maximum(share * (1 - share), 1e-12))
    moved = np.abs(current / n - reference / m) / spread
    at = int(np.argmax(moved))
    one = same_share(int(current[at]), n, int(reference[at]), m) * np.count_nonzero(current + reference)
    order = np.arange(len(current))
    if classes is None:
        order[:-1] = np.argsort(-(current + reference)[:-1], kind="stable")
    towards_rare = two_sided(float(components(current[order], reference[order])[0]))
    if classes is None:
        return combined([(whole, 0.5), (min(1.0, one), 0.25), (towards_rare, 0.25)])
    return combined([(whole, 0.4), (min(1.0, one), 0.2), (towards_rare, 0.2), (classes, 0.2)])


def classes_p_value(others: Array, rows: int, shares: Array, variances: Array) -> float:
    """Return the p-value of classes of rare levels holding the shares of rows that the reference foretells.

    A half, which says nothing, where too few rows are expected. Each class is as uncertain as its foretold share and as
    these rows make it; their squares are added up (that a row is in one class alone makes it a little careful).

    Parameters
    ----------
    others : rows of each class, shape (k,), of `rows` in all.
    shares, variances : foretold of each class, shape (k,).
    """
    asked = shares * rows >= EXPECTED
    if not asked.any():
        return 0.5
    apart = (others / rows - shares)[asked]
    square = float((apart**2 / (shares * (1 - shares) / rows + variances)[asked]).sum())
    return chi_square_tail(square, int(asked.sum()))


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
