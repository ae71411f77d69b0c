"""Do champion and challenger say the same of the same requests?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import Agreement, Estimate
from passerelle.domain.experiment.interval import share_interval
from passerelle.domain.resampled import weighted_sums
from passerelle.domain.resampling import Blocks

Array = npt.NDArray[Any]
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one model said to each request, None for what its task has not: classes decided on, one score each."""

    decisions: Array | None = None
    scores: Array | None = None


def compare_answers(champion: Answers, challenger: Answers, blocks: Blocks, weights: Array) -> Agreement:
    """Return how far two models agree; requests that one of them scored with no finite number are left out.

    Parameters
    ----------
    blocks, weights : which requests vary together (those of an entity), and how often each block is drawn.
    """
    known = _finite(champion, blocks) & _finite(challenger, blocks)
    part = Blocks(blocks.of_row[known], blocks.count, blocks.unit)
    decisions: dict[str, Estimate | None] = {}
    scores: dict[str, Estimate | None] = {}
    if known.any() and champion.decisions is not None and challenger.decisions is not None:
        decisions = _decisions(champion.decisions[known], challenger.decisions[known], part, weights)
    if known.any() and champion.scores is not None and challenger.scores is not None:
        scores = _scores(champion.scores[known], challenger.scores[known], part, weights)
    return Agreement(
        requests=int(np.sum(known)),
        left_out=int(np.sum(~known)),
        resampled=blocks.words,
        **decisions,
        **scores,
    )


def _finite(answers: Answers, blocks: Blocks) -> Array:
    if answers.scores is None:
        return np.ones(len(blocks.of_row), dtype=bool)
    return np.isfinite(answers.scores)


def _decisions(champion: Array, challenger: Array, blocks: Blocks, weights: Array) -> dict[str, Estimate | None]:
    same = np.asarray(champion == challenger, dtype=np.float64)
    share = float(np.mean(same))
    names = np.unique(np.concatenate([champion, challenger]))
    columns = [np.ones(len(same)), same, *(champion == name for name in names), *(challenger == name for name in names)]
    return {
        "decisions": share_interval(share, independent_rows(same, blocks)),
        "kappa": _estimate(_kappa, columns, blocks, weights),
    }


def independent_rows(hits: Array, blocks: Blocks) -> float:
    """Return as how many independent rows these count for a share (effective sample size; Kish 1965, Survey Sampling).

    Rows of an entity that agree with each other count for less: n divided by the variance over blocks and that of
    independent rows. Where no row differs nothing tells, and each block is taken for one row.
    """
    if blocks.unit == "row":
        return float(len(hits))
    share, present = float(np.mean(hits)), len(np.unique(blocks.of_row))
    if share in (0.0, 1.0) or present < 2:
        return float(present)
    off = np.bincount(blocks.of_row, hits - share, blocks.count)
    variance = float(np.sum(off**2)) / len(hits) ** 2 * present / (present - 1)
    return min(float(len(hits)), share * (1 - share) / variance) if variance > 0 else float(len(hits))


def _kappa(sums: Array) -> Array:
    """Agreement beyond what chance gives (Cohen 1960, Educational and Psychological Measurement 20)."""
    rows, same = sums[:2] / sums[0]
    theirs, ours = np.split(sums[2:] / sums[0], 2)
    chance = np.sum(theirs * ours, axis=0)
    return np.where(chance < 1 - _ROUNDING, (same - chance) / np.maximum(rows - chance, _ROUNDING), np.nan)


def _scores(champion: Array, challenger: Array, blocks: Blocks, weights: Array) -> dict[str, Estimate | None]:
    from scipy import stats

    # Ranks of all rows stand for those of each resample, else every draw would be sorted anew.
    ranks = [stats.rankdata(one) for one in (champion, challenger)]
    raw, ranked = _moments(champion, challenger), _moments(*ranks)
    return {
        "correlation": _estimate(_correlation, raw, blocks, weights),
        "rank_correlation": _estimate(_correlation, ranked, blocks, weights),
        "shift": _estimate(_shift, raw, blocks, weights),
    }


def _moments(one: Array, other: Array) -> list[Array]:
    middle, scale = np.mean(one), max(float(np.std(one)), float(np.std(other)), _ROUNDING)
    first, second = (one - middle) / scale, (other - middle) / scale  # else squares lose their digits
    return [np.ones(len(first)), first, second, first**2, second**2, first * second]


def _spreads(sums: Array) -> tuple[Array, Array, Array]:
    rows, first, second, squares, others, products = sums
    means = first / rows, second / rows
    variances = squares / rows - means[0] ** 2, others / rows - means[1] ** 2
    return (
        np.asarray(means),
        np.where(np.asarray(variances) > _ROUNDING, variances, np.nan),
        products / rows - means[0] * means[1],
    )


def _correlation(sums: Array) -> Array:
    _, (first, second), together = _spreads(sums)
    return np.asarray(np.clip(together / np.sqrt(first * second), -1, 1))


def _shift(sums: Array) -> Array:
    """Difference of means in units of the average spread: d_av of Cumming (2012, Understanding The New Statistics)."""
    (first, second), variances, _ = _spreads(sums)
    return np.asarray((second - first) / np.sqrt(np.mean(variances, axis=0)))


def _estimate(figure: Any, columns: list[Array], blocks: Blocks, weights: Array) -> Estimate | None:
    """Return a figure with its percentile interval, None where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(figure(weighted_sums(columns, blocks, np.ones((1, blocks.count))))[0])
        drawn = figure(weighted_sums(columns, blocks, weights))
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(drawn) < len(weights) / 2:
        return None
    lower, upper = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value=value, lower=float(lower), upper=float(upper))
