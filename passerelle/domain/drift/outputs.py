"""What is known of a model's answer before its label is: columns for small models of its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from passerelle.domain.calibration import CLIP, log_odds
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.contracts.bundle import TaskType

Array = npt.NDArray[Any]

_KNOTS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, kw_only=True)
class OutputCuts:
    """The line that an answer lies on is bent at these `knots`; measured from `centre` in units of `scale`."""

    task: TaskType
    centre: float
    scale: float
    knots: tuple[float, ...]

    @classmethod
    def of(cls, task: TaskType, answers: Array) -> Self:
        """Return the cuts for these answers of the reference."""
        line = sureness(task, answers)
        scale = float(np.std(line)) or 1.0
        knots = np.unique(np.quantile((line - np.mean(line)) / scale, _KNOTS))
        return cls(task=task, centre=float(np.mean(line)), scale=scale, knots=tuple(float(knot) for knot in knots))

    @property
    def straight(self) -> int:
        """How many of the columns are not bent."""
        return 3 if self.task == "multiclass" else 2

    def design(self, answers: Array) -> Array:
        """Return the columns, shape (n, straight + knots): one of 1, the line, of several classes the entropy, bends.

        Beyond the outermost knots nothing bends any more: few rows of the reference lie there.
        """
        line = (sureness(self.task, answers) - self.centre) / self.scale
        columns = [np.ones(len(line)), line]
        if self.task == "multiclass":
            columns.append(-np.sum(answers * np.log(np.clip(answers, CLIP, 1)), axis=1))
        bends = [np.maximum(line - knot, 0) for knot in self.knots]
        return np.column_stack([*columns, *bends]).astype(np.float32)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the cuts that JSON holds."""
        return cls(**{**found, "knots": tuple(found["knots"])})


def sureness(task: TaskType, answers: Array) -> Array:
    """Return log-odds of the positive or of the most probable class, for a regression the prediction; shape (n,)."""
    if task == "regression":
        return np.asarray(answers, np.float64)
    return log_odds(answers if task == "binary" else np.max(answers, axis=1))


def known_answers(task: TaskType, answers: Any) -> tuple[Array, Array]:
    """Return answers as numbers, and which rows have them.

    Raises InputError where their shape is not that of the task.
    """
    found = np.asarray(answers, np.float64)
    if found.ndim != (2 if task == "multiclass" else 1):
        raise InputError(
            f"Answers of a {task} model have shape {found.shape}: give (rows, classes) for several classes, "
            "(rows,) otherwise: the positive class's probability, or the predicted number."
        )
    finite = np.isfinite(found)
    return found, np.asarray(finite.all(axis=1) if found.ndim == 2 else finite)
