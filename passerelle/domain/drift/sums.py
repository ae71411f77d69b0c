"""What windows add up to, exactly what the metrics need, and the metrics of it: of expected labels or of true ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.calibration import CLIP, log_odds
from passerelle.domain.drift.classes import Classes, metrics_of_classes

if TYPE_CHECKING:
    from passerelle.contracts.bundle import TaskType

Array = npt.NDArray[Any]
Sums = dict[str, Array]

#: What is expected of each row, by task, and whether it is a share; of several classes also which one it is.
TARGETS: Final[Mapping[TaskType, Mapping[str, bool]]] = {
    "binary": {"positive": True},
    "multiclass": {"correct": True, "log_loss": False},
    "regression": {"absolute": False, "squared": False, "signed": False},
}
_CELLS: Final = 64
_GRID: Final = np.arange(1, 50) / 50


class Money(NamedTuple):
    """What an outcome is worth, as the project declares it; `per_error_unit` of a regression."""

    true_positive: float = 0.0
    false_positive: float = 0.0
    true_negative: float = 0.0
    false_negative: float = 0.0
    per_error_unit: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a window is added up: cells of a binary task's scores, one of which begins at the threshold; or `classes`."""

    task: TaskType
    cuts: tuple[float, ...] = ()
    threshold: float = 0.5
    money: Money | None = None
    classes: Classes | None = None

    @classmethod
    def of(
        cls, task: TaskType, answers: Array, threshold: float, money: Money | None, classes: Classes | None = None
    ) -> Self:
        """Return the cells: quantiles of the reference's scores, and even ones for where it had none."""
        cuts: tuple[float, ...] = ()
        if task == "binary":
            quantiles = np.quantile(answers, np.arange(1, _CELLS) / _CELLS)
            cuts = tuple(float(cut) for cut in np.unique(np.concatenate([quantiles, _GRID, [threshold]])))
        return cls(task=task, cuts=cuts, threshold=threshold, money=money, classes=classes)

    @property
    def targets(self) -> dict[str, bool]:
        """What is expected of each row, and whether it is a share."""
        return {**TARGETS[self.task], **dict.fromkeys(self.classes.targets if self.classes else (), True)}

    def add_up(self, answers: Array, targets: Mapping[str, Array]) -> Sums:
        """Return the sums of rows.

        Parameters
        ----------
        answers : finite; shape (n,), or (n, classes). targets : by name, expected or true, each of shape (n, m).
        """
        if self.task == "binary":
            return self._binary(answers, targets["positive"])
        sums = {name: targets[name].sum(axis=0, dtype=np.float64) for name in TARGETS[self.task]}
        if self.classes is not None:
            sums |= self.classes.add_up(answers, targets)
        if self.task == "regression":
            sums["signed_times"] = answers @ targets["signed"].astype(np.float64)
            sums["predictions"] = np.array([answers.sum(), (answers**2).sum()])
        return sums

    def _binary(self, scores: Array, positive: Array) -> Sums:
        places = np.searchsorted(np.asarray(self.cuts), scores, "right")
        size = len(self.cuts) + 1
        clipped = np.clip(scores, CLIP, 1 - CLIP)
        main = positive[:, 0]
        return {
            "cells": np.bincount(places, minlength=size).astype(np.float64),
            "positive": np.stack([np.bincount(places, column, size) for column in positive.T]),
            "variance": np.bincount(places, main * (1 - main), size),
            "log_odds": positive.T.astype(np.float64) @ log_odds(scores),
            "shares": positive.T.astype(np.float64) @ scores,
            "fixed": np.array([np.log1p(-clipped).sum(), (scores**2).sum()]),
            # For what another draw of labels changes: where in its cell a row lies on average.
            "cell_log_odds": np.bincount(places, log_odds(scores), size),
            "cell_shares": np.bincount(places, scores, size),
        }


def targets_of(layout: Layout, answers: Array, labels: Array) -> dict[str, Array]:
    """Return what the labels make of each row, by target, each of shape (n,).

    Parameters
    ----------
    labels : 0 or 1; the place of the class, STRANGER of one that is not known; the number.
    """
    if layout.task == "binary":
        return {"positive": np.asarray(labels, np.float64)}
    if layout.classes is not None:
        return layout.classes.targets_of(answers, np.asarray(labels, np.intp))
    error = np.asarray(labels, np.float64) - answers
    return {"absolute": np.abs(error), "squared": error**2, "signed": error}


def metrics_of(layout: Layout, rows: int, sums: Mapping[str, Array]) -> dict[str, Array]:
    """Return each metric, shape (m,) for m columns of sums; NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if layout.task == "binary":
            return _binary_metrics(layout, rows, sums)
        if layout.task == "multiclass":
            return metrics_of_classes(rows, sums)
        absolute, squared = (np.maximum(sums[name] / rows, 0) for name in ("absolute", "squared"))
        mean, mean_square = sums["predictions"] / rows
        signed, times = sums["signed"] / rows, sums["signed_times"] / rows
        spread = mean_square + 2 * times + squared - (mean + signed) ** 2
        found = {"mae": absolute, "rmse": np.sqrt(squared), "r2": np.where(spread > 0, 1 - squared / spread, np.nan)}
        return found | ({"value": layout.money.per_error_unit * absolute} if layout.money else {})


def _binary_metrics(layout: Layout, rows: int, sums: Mapping[str, Array]) -> dict[str, Array]:
    hits, cells = sums["positive"], sums["cells"]
    misses = np.maximum(cells - hits, 0)
    positives, negatives = hits.sum(axis=1), misses.sum(axis=1)
    below = np.cumsum(misses, axis=1) - misses / 2
    first = int(np.searchsorted(np.asarray(layout.cuts), layout.threshold)) + 1
    found, alarms = hits[:, first:].sum(axis=1), misses[:, first:].sum(axis=1)
    right = found + negatives - alarms
    metrics = {
        "roc_auc": (hits * below).sum(axis=1) / (positives * negatives),
        "average_precision": _average_precision(hits[:, ::-1], cells[::-1]),
        "log_loss": -(sums["log_odds"] + sums["fixed"][0]) / rows,
        "brier": (sums["fixed"][1] - 2 * sums["shares"] + positives) / rows,
        "accuracy": right / rows,
        "balanced_accuracy": (found / positives + 1 - alarms / negatives) / 2,
        "precision": found / (found + alarms),
        "recall": found / positives,
        "f1": 2 * found / (2 * found + alarms + positives - found),
        "positive_rate": positives / rows,
    }
    if layout.money:
        worth, money = found * layout.money.true_positive + alarms * layout.money.false_positive, layout.money
        worth = worth + (positives - found) * money.false_negative + (negatives - alarms) * money.true_negative
        metrics["value"] = worth / rows
    return metrics


def _average_precision(hits: Array, cells: Array) -> Array:
    """Return average precision from the most probable cell down; inside a cell precision goes from end to end."""
    taken = np.cumsum(cells)
    precision = np.divide(np.cumsum(hits, axis=1), taken, out=np.zeros_like(hits), where=taken > 0)
    before = np.concatenate([precision[:, :1], precision[:, :-1]], axis=1)
    before = np.where(taken - cells > 0, before, precision)
    return np.asarray((hits * (precision + before) / 2).sum(axis=1) / hits.sum(axis=1))


def drawn(
    layout: Layout,
    rows: int,
    sums: Mapping[str, Array],
    spreads: Mapping[str, float],
    rng: np.random.Generator,
    draws: int,
) -> Sums:
    """Return sums of labels as they may turn out: a column of the reference's uncertainty, then chance.

    Parameters
    ----------
    spreads : by target that is no share, the variance of a row's around its expectation, per squared mean.
    """
    some = next(iter(TARGETS[layout.task]))
    columns = rng.integers(1, max(2, len(sums[some])), draws) if len(sums[some]) > 1 else np.zeros(draws, np.intp)
    if layout.task == "binary":
        expected, cells = sums["positive"][columns], sums["cells"]
        noise = np.sqrt(np.maximum(sums["variance"], 0)) * rng.standard_normal((draws, len(cells)))
        hits = np.clip(expected + noise, 0, cells)
        more, held = hits - expected, np.maximum(cells, 1)
        return dict(sums) | {
            "positive": hits,
            "log_odds": sums["log_odds"][columns] + more @ (sums["cell_log_odds"] / held),
            "shares": sums["shares"][columns] + more @ (sums["cell_shares"] / held),
        }
    found = dict(sums)
    for name, is_share in TARGETS[layout.task].items():
        mean = sums[name][columns] / rows
        variance = np.maximum(mean * (1 - mean), 0) if is_share else spreads[name]
        if name == "signed":
            variance = spreads["signed"]
        elif not is_share:
            variance = spreads[name] * mean**2
        found[name] = sums[name][columns] + np.sqrt(variance * rows) * rng.standard_normal(draws)
    if layout.classes is not None:
        found |= layout.classes.drawn(rows, sums, columns, rng)
    if layout.task == "regression":
        found["signed_times"] = sums["signed_times"][columns]
    return found
