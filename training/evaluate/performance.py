"""What the challenger's errors on the test rows were like: by it, its worth is estimated before labels are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.bundle import ColumnType
from passerelle.domain.drift.classes import STRANGER
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.performance_made import make_performance_reference
from passerelle.domain.drift.sums import Money
from passerelle.errors import InputError
from training.evaluate.inputs import Inputs
from training.train.predict import Predicted
from training.train.reference import column_of, most_telling, seen_and_sent


def performance_reference(inputs: Inputs, predicted: Predicted) -> PerformanceReference | str:
    """Return the reference, or why there is none.

    It is made of the test rows: the newest ones, which neither the model nor its choice has seen. Inputs are those that
    records of predictions have. A class of the test rows that the model does not know makes it wrong there.
    """
    task, classes = inputs.project.task.type, inputs.challenger.signature.classes
    answers, truth = _answers(task, predicted), inputs.test.labels
    if task == "multiclass":
        known = {name: place for place, name in enumerate(classes)}
        truth = np.array([known.get(str(label), STRANGER) for label in truth])
    columns, types = _columns(inputs)
    telling = most_telling(columns, types, inputs.test.labels)
    try:
        return make_performance_reference(
            task,
            answers,
            truth,
            columns=columns,
            types={name: types[name] for name in telling},
            blocks=inputs.test.times.astype("datetime64[D]").astype(np.int64),
            threshold=_threshold(inputs),
            money=_money(inputs),
            classes=classes,
            seed=inputs.project.training.seed,
        )
    except InputError as error:
        return str(error)


def _answers(task: str, predicted: Predicted) -> npt.NDArray[Any]:
    shares = predicted.probabilities
    if shares is None:
        return predicted.predictions
    return shares if task == "multiclass" else shares[:, 1]


def _columns(inputs: Inputs) -> tuple[dict[str, Any], dict[str, ColumnType]]:
    """Return the inputs that callers send and records keep, and their types."""
    recorded = {column.name for column in inputs.project.derivable_columns}
    frame, sent = inputs.test.frame, inputs.test.sent_frame
    types = {
        column.name: column.type
        for column in seen_and_sent(inputs.challenger.signature)
        if column.name in recorded and (column.name in frame or column.name in sent)
    }
    return {name: column_of(inputs.test, name, type_) for name, type_ in types.items()}, types


def _threshold(inputs: Inputs) -> float:
    declared = inputs.challenger.metadata.threshold
    return 0.5 if declared is None else float(declared)


def _money(inputs: Inputs) -> Money | None:
    """Return what outcomes are worth; of several classes no outcome has a price."""
    value = inputs.project.why.value if inputs.project.task.type != "multiclass" else None
    return Money(**value.model_dump(exclude={"currency"})) if value is not None else None
