"""What a model's decisions are worth on the test rows, by the project's cost matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.decision import decides, row_values
from passerelle.domain.gate import Comparison
from passerelle.domain.project import Project
from training.bundle import Bundle
from training.evaluate.compared import Period
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Money:
    """What a decision is worth, how that compares with each alternative, and what all decisions are worth.

    `totals` are sums over the test rows, and the standard deviation of a row's worth, by which A/B tests are planned.
    """

    worth: float | None = None
    compared: dict[str, Comparison] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)


def decisions_worth(inputs: Inputs, rows: Period, challenger: Predicted, champion: Predicted | None) -> Money:
    """Return the worth of the challenger's decisions, nothing where the project declares no money."""
    own = _money(inputs, inputs.challenger, challenger)
    if own is None or not np.all(np.isfinite(own)):
        return Money()
    others = nothing = _without_a_model(inputs)
    if champion is not None and inputs.champion is not None:
        theirs = _money(inputs, inputs.champion, champion)
        others = ({"the champion's": theirs} if theirs is not None else {}) | others
    compared = {name: rows.compare_money(own, other) for name, other in others.items()}
    known = {name: one for name, one in compared.items() if one is not None}
    total, without = float(np.sum(own)), float(np.sum(next(iter(nothing.values()))))
    totals = {"value": total, "value_over_no_model": total - without, "value_spread": float(np.std(own))}
    return Money(float(np.mean(own)), known, totals)


def _money(inputs: Inputs, bundle: Bundle, predicted: Predicted) -> Array | None:
    """Return the money that a model makes on each row, with the threshold it was given when it was trained."""
    return row_money(inputs.project, inputs.test.labels, predicted, bundle.metadata.threshold)


def row_money(project: Project, labels: Array, predicted: Predicted, threshold: float | None) -> Array | None:
    """Return the money that deciding by these predictions makes on each row, None where the project declares none."""
    value = project.why.value
    if value is None:
        return None
    if project.task.type == "regression" and value.per_error_unit:
        return np.asarray(value.per_error_unit * np.abs(predicted.predictions - labels))
    if predicted.probabilities is None or threshold is None or not decides(value):
        return None
    return row_values(value, labels, predicted.probabilities[:, 1], threshold)


def _without_a_model(inputs: Inputs) -> dict[str, Array]:
    value, labels = inputs.project.why.value, inputs.test.labels
    assert value is not None
    if inputs.project.task.type == "regression":
        median = float(inputs.challenger.profile["label"]["median"])
        return {"that of always saying the median": np.asarray(value.per_error_unit * np.abs(median - labels))}
    nothing = np.zeros(len(labels))
    return {
        "that of never acting": row_values(value, labels, nothing, 1.0),
        "that of always acting": row_values(value, labels, nothing, 0.0),
    }
