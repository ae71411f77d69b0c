"""Intervals of a difference that hold at every reading, however often and whenever one looks and stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import AbEffect, AbPlan, Estimate

Array = npt.NDArray[Any]
#: The asymptotic sequence is not read before each variant has so many entities.
LEAST_ENTITIES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What is known of a variant's entities, as sums over them; a number each, or an array of them, one a reading.

    `values` and `rows` are an entity's outcomes added up, and how many there were. One that comes back adds to its own
    sums, so these cannot be carried from day to day: they are made of all its rows anew.
    """

    entities: Array
    values: Array
    rows: Array
    values_squared: Array
    rows_squared: Array
    products: Array

    @classmethod
    def of(cls, values: Array, entities: Array | None = None) -> Outcomes:
        """Return the sums of outcomes; without `entities`, shape (rows,), each row is one of its own."""
        places = np.arange(len(values)) if entities is None else np.unique(entities, return_inverse=True)[1]
        total, rows = np.bincount(places, values), np.bincount(places).astype(np.float64)
        return cls(
            entities=np.asarray(len(rows)),
            values=np.asarray(np.sum(total)),
            rows=np.asarray(np.sum(rows)),
            values_squared=np.asarray(np.sum(total**2)),
            rows_squared=np.asarray(np.sum(rows**2)),
            products=np.asarray(np.sum(total * rows)),
        )

    @property
    def mean(self) -> Array:
        """The mean outcome of a row, such as money per prediction."""
        return np.asarray(self.values / np.maximum(self.rows, 1))

    @property
    def spread_squared(self) -> Array:
        """The variance over entities of what an entity adds to the sum beyond the mean of its rows."""
        squares = self.values_squared - 2 * self.mean * self.products + self.mean**2 * self.rows_squared
        return np.asarray(np.maximum(squares, 0.0) / np.maximum(self.entities - 1, 1))

    def with_(self, other: Outcomes) -> Outcomes:
        """Return the sums over both variants' entities."""
        return Outcomes(
            entities=self.entities + other.entities,
            values=self.values + other.values,
            rows=self.rows + other.rows,
            values_squared=self.values_squared + other.values_squared,
            rows_squared=self.rows_squared + other.rows_squared,
            products=self.products + other.products,
        )


def best_scale(error: float) -> float:
    """Return how many times the variance at the planned end that of the mixture should be, for the tightest interval.

    The minimum of `boundary`, found where x - log(1 + x) = 2 log(1 / error) (Howard, Ramdas, McAuliffe & Sekhon 2021,
    Annals of Statistics 49, section 3.5): fixed-point iteration, which converges as its slope is 1 / (1 + x).
    """
    scale = -2 * math.log(error)
    for _ in range(50):
        scale = -2 * math.log(error) + math.log1p(scale)
    return scale


def boundary(scale: Any, error: float) -> Array:
    """Return how many standard errors wide the sequence is, each way.

    The normal mixture of Robbins (1970, Annals of Mathematical Statistics 41), as the asymptotic confidence sequence of
    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024, Annals of Statistics 52) and the mSPRT of Johari, Koomen,
    Pekelis & Walsh (2022, Operations Research 70).

    Parameters
    ----------
    scale : variance of the mixture over the variance of the estimate so far; it grows with the data.
    """
    grown = np.asarray(scale, dtype=np.float64)
    return np.sqrt((1 + 1 / grown) * (2 * math.log(1 / error) + np.log1p(grown)))


def mixture_variance(plan: AbPlan) -> float:
    """Return the variance of the mixture that makes the sequence tightest at the plan's end; fixed beforehand."""
    return best_scale(plan.error) * plan.spread**2 / (plan.entities * plan.share * (1 - plan.share))


def difference_of_means(champion: Outcomes, challenger: Outcomes, plan: AbPlan) -> tuple[Array, Array, Array]:
    """Return (difference, half width, p-value) at each reading; a half width is infinite where it is too early.

    Entities, not their rows, are independent: the variance of a mean over rows is that of a ratio (delta method; Deng,
    Knoblich & Lu 2018, Applying the Delta Method in Metric Analytics, KDD). No variant is held to vary less than both
    together: of a rare outcome the smaller variant sees none for long, and its own variance would be nothing.
    """
    pooled = champion.with_(challenger).spread_squared
    variance = sum(
        np.maximum(one.spread_squared, pooled) * one.entities / np.maximum(one.rows, 1) ** 2
        for one in (champion, challenger)
    )
    early = np.minimum(champion.entities, challenger.entities) < LEAST_ENTITIES
    known = np.where(early | (variance <= 0), np.nan, variance)
    scale = mixture_variance(plan) / known
    more = challenger.mean - champion.mean
    half = np.sqrt(known) * boundary(scale, plan.error)
    evidence = more**2 / known * scale / (1 + scale) / 2 - np.log1p(scale) / 2
    p_value = np.exp(-np.maximum(np.nan_to_num(evidence), 0.0))
    return more, np.where(np.isnan(half), np.inf, half), p_value


def asymptotic_effect(champion: Outcomes, challenger: Outcomes, plan: AbPlan, unit: str) -> AbEffect:
    """Return the challenger's mean less the champion's for outcomes of any kind, entities that come back included.

    Its level holds in the limit of many entities, for which it waits (`LEAST_ENTITIES`); rare outcomes need more.
    """
    more, half, p_value = (float(one) for one in difference_of_means(champion, challenger, plan))
    known = math.isfinite(half)
    return AbEffect(
        method="asymptotic",
        unit=unit,
        champion_entities=int(champion.entities),
        challenger_entities=int(challenger.entities),
        champion=float(champion.mean),
        challenger=float(challenger.mean),
        more=Estimate(value=more, lower=more - half if known else None, upper=more + half if known else None),
        p_value=p_value,
    )
