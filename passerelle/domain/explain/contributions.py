"""What each column did to each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Method = Literal["trees", "linear", "kernel", "constant"]
#: What the contributions add up to: the log-odds of the positive class; a class's score before the softmax; a
#: probability; the prediction of a regression. A calibration that is no straight line in that space is left out.
Space = Literal[
    "log-odds", "score", "probability", "prediction", "score before calibration", "probability before calibration"
]
SPACES: Final[Mapping[str, Space]] = {
    "sigmoid": "log-odds",
    "softmax": "score",
    "shares": "probability",
    "number": "prediction",
}
UNCALIBRATED: Final[Mapping[Space, Space]] = {
    "score": "score before calibration",
    "probability": "probability before calibration",
}


@dataclass(frozen=True)
class Contributions:
    """Shapley values: base + the sum over the columns is the model's answer in `space` (Lundberg and Lee 2017).

    `values` has shape (n_rows, n_columns, n_outputs), `base` (n_outputs,). A binary task has one output, the positive
    class; a regression one, its number; a multiclass task one for each class.
    """

    columns: tuple[str, ...]
    values: Floats
    base: Floats
    space: Space
    method: Method

    @property
    def totals(self) -> Floats:
        """The answers in `space`, shape (n_rows, n_outputs)."""
        return np.asarray(self.base + self.values.sum(axis=1))

    @property
    def importance(self) -> Floats:
        """The mean absolute contribution of each column, shape (n_columns,); over the outputs, their sum."""
        return np.asarray(np.abs(self.values).mean(axis=0).sum(axis=1))


def by_input(values: Floats, owners: Sequence[str], columns: Sequence[str]) -> Floats:
    """Sum the values of encoded columns, axis 1, into those of the input columns that they were made of.

    Parameters
    ----------
    values : shape (n_rows, n_encoded, n_outputs).
    owners : the input column of each encoded one; an input that the model does not use owns none.
    """
    places = {name: index for index, name in enumerate(columns)}
    summed = np.zeros((len(values), len(columns), values.shape[2]))
    for encoded, owner in enumerate(owners):
        summed[:, places[owner]] += values[:, encoded]
    return summed


def answered(values: npt.NDArray[Any]) -> Floats:
    """Return a model's answers with one column for each output: of two classes, the positive one alone."""
    answers = np.asarray(values, dtype=np.float64)
    if answers.ndim == 1:
        return answers[:, None]
    return answers[:, 1:] if answers.shape[1] == 2 else answers
