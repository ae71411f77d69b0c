"""What a prediction turned out to be worth, or whether its decision was right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.decision import row_values
from passerelle.domain.experiment.plan import binary_spread
from passerelle.domain.project import Project
from passerelle.domain.project.model import is_positive

Array = npt.NDArray[Any]


def unit_of(project: Project, outcome: str) -> str:
    """Return what an outcome's mean is, in words."""
    if outcome == "right":
        return "the share of right decisions"
    assert project.why.value is not None
    return f"{project.why.value.currency} a prediction"


def outcomes_of(
    project: Project, outcome: str, labels: Sequence[Any], decisions: Sequence[str | None], scores: Sequence[Any]
) -> Array:
    """Return each prediction's outcome, shape (rows,): money of `why.value`, or 1 where its decision was right.

    NaN where it is not known: the prediction was recorded without a decision, or without a number.

    Parameters
    ----------
    labels : the contract's values of the label. decisions, scores : as predictions are recorded.
    """
    if project.task.type == "regression":
        return _money_of_errors(project, labels, scores)
    if project.task.type == "multiclass":
        pairs = zip(decisions, labels, strict=True)
        return np.array([np.nan if said is None else float(said == str(label)) for said, label in pairs])
    positive = np.array([is_positive(project.data.label, label) for label in labels], dtype=bool)
    acts = np.array([said == "true" for said in decisions], dtype=bool)
    known = np.array([said is not None for said in decisions], dtype=bool)
    if outcome == "right":
        found = (positive == acts).astype(np.float64)
    else:
        assert project.why.value is not None
        found = row_values(project.why.value, positive.astype(np.float64), acts.astype(np.float64), 0.5)
    return np.asarray(np.where(known, found, np.nan), dtype=np.float64)


def _money_of_errors(project: Project, labels: Sequence[Any], scores: Sequence[Any]) -> Array:
    assert project.why.value is not None
    said = np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
    return np.asarray(project.why.value.per_error_unit * np.abs(said - np.array(labels, dtype=np.float64)))


def spread_of(outcome: str, test_metrics: Mapping[str, float]) -> float | None:
    """Return the standard deviation of a prediction's outcome on the holdout, None where the gate does not tell.

    What is right or wrong varies as its share says; of money `evaluate` writes it down.
    """
    if outcome == "value":
        found = test_metrics.get("value_spread")
        return found if found is not None and math.isfinite(found) and found > 0 else None
    accuracy = test_metrics.get("accuracy")
    return binary_spread(accuracy) if accuracy is not None and 0 < accuracy < 1 else None
