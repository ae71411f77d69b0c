"""How a model does on each declared segment of the test rows."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from passerelle.domain.metrics import score
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted


def judge_segments(inputs: Inputs, predicted: Predicted, baseline: Predicted) -> list[dict[str, Any]]:
    """Return the score per value of each declared segment that has enough rows."""
    task = inputs.project.task
    sign = 1.0 if inputs.project.greater_is_better else -1.0
    found: list[dict[str, Any]] = []
    for column in task.segments:
        if column not in inputs.test.frame.columns:
            continue
        values = inputs.test.frame[column].astype(str)
        for value, rows in values.value_counts().items():
            chosen = (values == value).to_numpy()
            if rows < task.min_segment_rows:
                continue
            own, other = (_score_rows(task, inputs.test.labels, item, chosen) for item in (predicted, baseline))
            better = None if own is None or other is None else sign * (own - other)
            found.append(
                {"column": column, "value": value, "rows": int(rows), "score": own if better is not None else None}
                | {"better_than_baseline": better}
            )
    return found


def _score_rows(task: Any, labels: npt.NDArray[Any], predicted: Predicted, rows: npt.NDArray[Any]) -> float | None:
    shares = predicted.probabilities[rows] if predicted.probabilities is not None else None
    return score(task.metric, task.type, labels[rows], predicted.predictions[rows], shares, predicted.classes)
