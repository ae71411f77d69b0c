"""The bundle's reference profile: what the training data and the model's answers look like, for drift to be seen by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.bundle import ColumnType, SignatureColumn
from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.profile import Profile, count
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.usual import usual_moves
from passerelle.domain.prior import label_prior
from training.train.context import Context
from training.train.predict import Predicted

Array = npt.NDArray[Any]

_SECONDS: Final = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800}
#: Windows of the training period that are looked at for what is usual, evenly spread over it.
_WINDOWS: Final = 200
_RANKED_ROWS: Final = 20_000


def make_profile(context: Context, validation: Predicted, threshold: float | None) -> dict[str, Any]:
    """Return what the bundle's profile.json holds: the reference of all that the model sees and a caller sends.

    Scores and decisions are those of validation: of the rows that a model was fitted on it is too sure.
    """
    columns, types = _columns(context)
    reference = make_reference(columns, types, _most_telling(columns, types, context.train.labels))
    reference = replace(reference, usual=usual_moves(reference, _windows(reference, columns, context)))
    answers, answered = _answers(context, validation, threshold)
    whole = reference.joined(make_reference(answers, answered))
    return whole.to_dict() | {"label": label_prior(context.train.labels, context.project.task.type)}


def _columns(context: Context) -> tuple[dict[str, Array], dict[str, ColumnType]]:
    frame, signature = context.train.frame, context.signature
    sent = context.train.sent_frame
    known: list[SignatureColumn] = [*signature.model_inputs]
    known += [column for column in signature.inputs if column.name not in frame]
    found = {c.name: _values(frame[c.name] if c.name in frame else sent[c.name], c.type) for c in known}
    return found, {column.name: column.type for column in known}


def _values(values: pd.Series[Any], type_: ColumnType) -> Array:
    """Typed frames hold truth values as numbers; callers send them as what they are."""
    array: Array = values.to_numpy()
    if type_ != "boolean":
        return array
    truth = np.where(array == 1, True, False).astype(object)
    truth[np.isnan(array)] = None
    return truth


def _most_telling(columns: dict[str, Array], types: dict[str, ColumnType], labels: Array) -> list[str]:
    """Return the columns by how much of the label their parts tell (the correlation ratio, Fisher 1925)."""
    step = max(1, len(labels) // _RANKED_ROWS)
    some = {name: values[::step] for name, values in columns.items() if types[name] != "datetime"}
    label = _one_hot(labels[::step])
    told: dict[str, float] = {}
    for name, values in some.items():
        layout = make_reference({name: values}, {name: types[name]}, [name]).layout
        if name in layout.quarters:
            told[name] = _told(layout.parts(name, values), label)
    return sorted(told, key=lambda name: -told[name])


def _one_hot(labels: Array) -> Array:
    if labels.dtype.kind == "f":
        return labels[:, None]
    found: Array = (labels[:, None] == np.unique(labels)[None, :]).astype(float)
    return found


def _told(parts: Array, label: Array) -> float:
    rows = np.bincount(parts)
    held = rows > 0
    means = np.stack([np.bincount(parts, weights=one)[held] / rows[held] for one in label.T])
    between = ((means - label.mean(0)[:, None]) ** 2 * rows[held]).sum()
    return float(between / max(1e-300, ((label - label.mean(0)) ** 2).sum()))


def _windows(reference: Reference, columns: dict[str, Array], context: Context) -> Iterator[Profile]:
    """Yield the windows that monitoring will have, as they would have been in the training period."""
    seconds = context.train.times.astype("datetime64[s]").astype(np.int64)
    length = _SECONDS[context.project.monitoring.schedule]
    order = np.argsort(seconds, kind="stable")
    ordered = seconds[order] // length
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    ends = np.append(starts[1:], len(ordered))
    step = max(1, -(-len(starts) // _WINDOWS))
    for begin, end in zip(starts[::step], ends[::step], strict=True):
        rows = order[begin:end]
        yield count(reference.layout, {name: values[rows] for name, values in columns.items()})


def _answers(
    context: Context, validation: Predicted, threshold: float | None
) -> tuple[dict[str, Array], dict[str, ColumnType]]:
    """Return scores and decisions as the predictions zone keeps them."""
    if validation.probabilities is None:
        return {SCORE: validation.predictions}, {SCORE: "number"}
    if context.project.task.type == "multiclass":
        decided = validation.predictions.astype(str).astype(object)
        return {SCORE: validation.probabilities.max(axis=1), DECISION: decided}, {SCORE: "number", DECISION: "category"}
    score = validation.probabilities[:, 1]
    if threshold is None:
        return {SCORE: score}, {SCORE: "number"}
    return {SCORE: score, DECISION: score >= threshold}, {SCORE: "number", DECISION: "boolean"}
