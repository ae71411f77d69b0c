"""How sure the metrics of the test period are: 95 % intervals from the resamples that the gate judges by."""

from __future__ import annotations

import numpy as np

from passerelle.domain.resampled import resampled_scores
from training.evaluate.compared import Period
from training.train.predict import Predicted


def intervals(rows: Period, predicted: Predicted, metrics: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return {metric: (low, high)}: percentiles of the resamples; a metric that they leave undefined is left out.

    `metrics` are those that are defined on the rows.
    """
    found = {}
    for name in metrics:
        given = (name, rows.project.task.type, rows.labels, predicted.predictions, predicted.probabilities)
        drawn = resampled_scores(*given, predicted.classes, blocks=rows.blocks, weights=rows.weights, defined=True)
        known = drawn[np.isfinite(drawn)]
        if len(known) > 1:
            low, high = np.quantile(known, (0.025, 0.975))
            found[name] = (float(low), float(high))
    return found
