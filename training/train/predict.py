"""Predictions of a fitted pipeline, in one form for all tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Predicted:
    """`predictions` of shape (n_rows,); `probabilities` of shape (n_rows, n_classes), None for a regression."""

    predictions: npt.NDArray[Any]
    probabilities: npt.NDArray[Any] | None
    classes: npt.NDArray[Any]

    @property
    def answers(self) -> npt.NDArray[Any]:
        """What a server answers from: probabilities, or a regression's predictions."""
        return self.predictions if self.probabilities is None else self.probabilities


def predict(pipeline: Any, frame: pd.DataFrame, task: str) -> Predicted:
    """Return what the pipeline gives for these rows."""
    if task == "regression":
        return Predicted(np.asarray(pipeline.predict(frame), dtype=np.float64), None, np.asarray([]))
    probabilities = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    classes = np.asarray(pipeline.classes_)
    return Predicted(classes[np.argmax(probabilities, axis=1)], probabilities, classes)
