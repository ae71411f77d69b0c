"""With labels: is the challenger right more often, does it rank better, does it make more money?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import Estimate, PairedTest
from passerelle.domain.experiment.interval import normal_quantile
from passerelle.domain.gate.comparison import Comparison, compare
from passerelle.domain.metrics import score
from passerelle.domain.project.metric_names import METRICS
from passerelle.domain.resampled import resampled_scores, weighted_sums
from passerelle.domain.resampling import Blocks

Array = npt.NDArray[Any]
#: With fewer rows that only one model gets right, the normal approximation is not to be trusted.
_FEW: Final = 25


@dataclass(frozen=True)
class Scored:
    """What a model said to the labelled requests: shapes (rows,) and (rows, classes), None for a regression."""

    predictions: Array
    probabilities: Array | None = None


@dataclass(frozen=True)
class Labelled:
    """Labelled requests, of which those of a block vary together, and how often each block is drawn."""

    task: str
    labels: Array
    classes: Array
    blocks: Blocks
    weights: Array


def judge_metric(metric: str, rows: Labelled, champion: Scored, challenger: Scored) -> PairedTest | None:
    """Return the sharpest test that holds for a metric, None where it is undefined on these rows.

    McNemar for accuracy and DeLong for ROC AUC take rows for independent: where they are resampled by day or entity,
    and for every other metric, it is the paired bootstrap.
    """
    apart = rows.blocks.unit == "row"
    if apart and metric == "accuracy":
        return mcnemar(*(np.asarray(one.predictions == rows.labels) for one in (champion, challenger)))
    both = champion.probabilities, challenger.probabilities
    if apart and metric == "roc_auc" and rows.task == "binary" and both[0] is not None and both[1] is not None:
        return delong(np.asarray(rows.labels == 1), both[0][:, 1], both[1][:, 1])
    return bootstrap(metric, rows, champion, challenger)


def mcnemar(champion: Array, challenger: Array) -> PairedTest | None:
    """Compare how often two models are right on the same rows (McNemar 1947, Psychometrika 12).

    Only rows count on which one is right and the other wrong. Of few, the exact binomial test; of more, the
    chi-square without correction, as Fagerland, Lydersen & Laake (2013, BMC Medical Research Methodology 13) advise.
    The interval is that of Bonett & Price (2012, Statistical Methods in Medical Research 21).

    Parameters
    ----------
    champion, challenger : whether each is right, shape (rows,).
    """
    from scipy import stats

    rows = len(champion)
    if not rows:
        return None
    won, lost = int(np.sum(challenger & ~champion)), int(np.sum(champion & ~challenger))
    if few := won + lost < _FEW:
        p_value = float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
    else:
        p_value = float(stats.chi2.sf((won - lost) ** 2 / (won + lost), 1))
    gained, given = (won + 1) / (rows + 2), (lost + 1) / (rows + 2)
    half = normal_quantile(0.975) * math.sqrt((gained + given - (gained - given) ** 2) / (rows + 2))
    return PairedTest(
        of="accuracy",
        method="mcnemar_exact" if few else "mcnemar",
        rows=rows,
        champion=float(np.mean(champion)),
        challenger=float(np.mean(challenger)),
        better=Estimate(
            value=(won - lost) / rows,
            lower=max(-1.0, gained - given - half),
            upper=min(1.0, gained - given + half),
        ),
        p_value=p_value,
    )


def delong(positive: Array, champion: Array, challenger: Array) -> PairedTest | None:
    """Compare the areas under two ROC curves of the same rows (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44).

    Computed from midranks (Sun & Xu 2014, IEEE Signal Processing Letters 21). None with fewer than two rows of a class.

    Parameters
    ----------
    positive : whether the event came. champion, challenger : scores, higher for more likely; all of shape (rows,).
    """
    events, others = int(np.sum(positive)), int(np.sum(~positive))
    if min(events, others) < 2:
        return None
    parts = [_placements(scores, positive) for scores in (champion, challenger)]
    theirs, ours = (float(np.mean(of_events)) for of_events, _ in parts)
    gained = [second - first for first, second in zip(*parts, strict=True)]
    error = math.sqrt(float(np.var(gained[0], ddof=1)) / events + float(np.var(gained[1], ddof=1)) / others)
    better, z = ours - theirs, normal_quantile(0.975)
    return PairedTest(
        of="roc_auc",
        method="delong",
        rows=len(positive),
        champion=theirs,
        challenger=ours,
        better=Estimate(value=better, lower=better - z * error, upper=better + z * error),
        p_value=math.erfc(abs(better) / error / math.sqrt(2)) if error > 0 else float(better == 0),
    )


def _placements(scores: Array, positive: Array) -> tuple[Array, Array]:
    """Return, for each event, the share of others it scores above, and for each other that of events above it."""
    from scipy import stats

    everywhere, among_events, among_others = (
        stats.rankdata(part) for part in (scores, scores[positive], scores[~positive])
    )
    of_events = (everywhere[positive] - among_events) / len(among_others)
    of_others = 1 - (everywhere[~positive] - among_others) / len(among_events)
    return of_events, of_others


def bootstrap(metric: str, rows: Labelled, champion: Scored, challenger: Scored) -> PairedTest | None:
    """Compare two models by any metric of the task on the same resamples of the rows."""
    sign = 1.0 if METRICS[rows.task][metric] else -1.0
    points, drawn = [], []
    for one in (champion, challenger):
        given = (metric, rows.task, rows.labels, one.predictions, one.probabilities, rows.classes)
        points.append(score(*given))
        drawn.append(resampled_scores(*given, blocks=rows.blocks, weights=rows.weights))
    if points[0] is None or points[1] is None:
        return None
    present = len(np.unique(rows.blocks.of_row))
    found = compare(sign * (points[1] - points[0]), sign * (drawn[1] - drawn[0]), present)
    return None if found is None else _told(metric, found, (points[0], points[1]), rows)


def judge_money(rows: Labelled, champion: Array, challenger: Array, currency: str) -> PairedTest | None:
    """Compare what decisions were worth on average.

    Parameters
    ----------
    champion, challenger : money per row as `decision.row_values` gives it, each at its own threshold; shape (rows,).
    """
    if not len(rows.labels):
        return None
    gained = challenger - champion
    count, total = weighted_sums([np.ones(len(gained)), gained], rows.blocks, rows.weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = compare(float(np.mean(gained)), total / count, len(np.unique(rows.blocks.of_row)))
    means = float(np.mean(champion)), float(np.mean(challenger))
    return None if found is None else _told(f"{currency} per decision", found, means, rows)


def _told(of: str, found: Comparison, points: tuple[float, float], rows: Labelled) -> PairedTest:
    lower, upper = found.interval()
    worse = found.p_worse()
    return PairedTest(
        of=of,
        method="bootstrap",
        rows=len(rows.labels),
        champion=points[0],
        challenger=points[1],
        better=Estimate(value=found.better, lower=lower, upper=upper),
        p_value=1.0 if found.better == 0 else min(1.0, 2 * min(worse, 1 - worse)),
        resampled=rows.blocks.words,
    )
