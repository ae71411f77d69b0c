"""Models on the same test rows, resampled alike."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.container import Resampled
from passerelle.domain.gate import Comparison, compare
from passerelle.domain.metrics import score
from passerelle.domain.project import Project
from passerelle.domain.resampled import resampled_scores, weighted_sums
from passerelle.domain.resampling import Blocks, draw_weights
from training.evaluate.inputs import Inputs
from training.train.data import Rows
from training.train.predict import Predicted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scored:
    """The project's metric of one model on some rows, None where undefined, and on resamples of them."""

    score: float | None
    resampled: Array


@dataclass(frozen=True)
class Period:
    """The test period, or a segment of it, and how often each block of it is drawn."""

    project: Project
    rows: Rows
    blocks: Blocks
    weights: Array
    chosen: Array

    @classmethod
    def of(cls, inputs: Inputs) -> Period:
        """Return all test rows."""
        blocks = inputs.test.blocks(inputs.project.training.resample_by)
        weights = draw_weights(blocks, seed=inputs.project.training.seed)
        return cls(inputs.project, inputs.test, blocks, weights, np.arange(len(inputs.test.labels)))

    def part(self, chosen: Array) -> Period:
        """Return some rows by their places, drawn by the same weights."""
        blocks = Blocks(self.blocks.of_row[chosen], self.blocks.count, self.blocks.unit)
        return Period(self.project, self.rows, blocks, self.weights, chosen)

    @property
    def labels(self) -> Array:
        return np.asarray(self.rows.labels[self.chosen])

    @property
    def blocks_present(self) -> int:
        return len(np.unique(self.blocks.of_row))

    def scored(self, predicted: Predicted) -> Scored:
        """Return how a model does on these rows by the project's metric."""
        task, shares = self.project.task, predicted.probabilities
        chosen = shares[self.chosen] if shares is not None else None
        given = (task.metric, task.type, self.labels, predicted.predictions[self.chosen], chosen, predicted.classes)
        found = score(*given)
        drawn = resampled_scores(*given, blocks=self.blocks, weights=self.weights, defined=found is not None)
        return Scored(found, drawn)

    def compare(self, ours: Scored, theirs: Scored) -> Comparison | None:
        """Return how much better one model is than another, None where the metric is undefined."""
        if ours.score is None or theirs.score is None:
            return None
        sign = 1.0 if self.project.greater_is_better else -1.0
        better = sign * (ours.score - theirs.score)
        return compare(better, sign * (ours.resampled - theirs.resampled), self.blocks_present)

    def recorded(self, drawn: Array) -> Resampled:
        """Return a metric on every resample, and what tells others of just these rows in just these draws."""
        told = hashlib.sha256("\n".join(map(str, self.labels)).encode())
        for part in (self.project.task.metric.encode(), self.blocks.of_row.tobytes(), self.weights.tobytes()):
            told.update(hashlib.sha256(part).digest())
        return Resampled(
            draws=told.hexdigest(), scores=tuple(float(value) if np.isfinite(value) else None for value in drawn)
        )

    def compare_money(self, ours: Array, theirs: Array) -> Comparison | None:
        """Return how much more a decision is worth: money per row of two models, each of shape (rows,)."""
        gained = ours - theirs
        rows, total = weighted_sums([np.ones(len(gained)), gained], self.blocks, self.weights)
        return compare(float(np.mean(gained)), total / rows, self.blocks_present)
