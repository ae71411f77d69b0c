"""The bundle's reference profile: what the training data and the model's answers look like, for drift to be seen by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from passerelle.contracts.bundle import BundleSignature, ColumnType, SignatureColumn
from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.profile import Profile, count
from passerelle.domain.drift.reference import Reference, make_reference
from passerelle.domain.drift.segments import SegmentCuts, segment_cuts
from passerelle.domain.drift.usual import usual_moves
from passerelle.domain.project import Project
from training.train.data import Rows
from training.train.predict import Predicted

Array = npt.NDArray[Any]

_SECONDS: Final = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800}
#: Windows of a period that are looked at for what is usual, evenly spread over it.
_WINDOWS: Final = 60
#: A period of fewer is cut into so many that overlap, unless it has hardly any.
_OVERLAPPING: Final = 12
_LEAST: Final = 4
_RANKED_ROWS: Final = 20_000


@dataclass(frozen=True)
class TrainingReference:
    """The reference of a training job's data, made once for all candidates.

    `schedule` is the project's: windows of that length are what later windows are compared with as usual. `segments`
    are its columns that divide rows, whose levels are looked at from `least` rows of the training data on.
    """

    train: Rows
    signature: BundleSignature
    schedule: str
    segments: tuple[str, ...] = ()
    least: int = 200

    def only(self, names: Collection[str]) -> Reference:
        """Return the reference of these columns."""
        return self.whole.only(names)

    @cached_property
    def whole(self) -> Reference:
        """The reference of all that a model sees and a caller sends."""
        telling = most_telling(self._columns, self._types, self.train.labels)
        segments = segment_cuts(self._columns, self._types, self.segments, self.least)
        reference = make_reference(self._columns, self._types, telling, segments)
        windows = _windows(reference, self._columns, self.train.times, self.schedule)
        return replace(reference, usual=usual_moves(reference, windows))

    def dividing(self, rows: Rows, names: Iterable[str]) -> dict[str, Array]:
        """Return these columns of other rows, as the reference counts them."""
        return {name: column_of(rows, name, self._types[name]) for name in names}

    @cached_property
    def _types(self) -> dict[str, ColumnType]:
        return {column.name: column.type for column in seen_and_sent(self.signature)}

    @cached_property
    def _columns(self) -> dict[str, Array]:
        return {name: column_of(self.train, name, type_) for name, type_ in self._types.items()}


def reference_of(project: Project, signature: BundleSignature, train: Rows) -> TrainingReference:
    """Return the reference of a project's training data."""
    task = project.task
    return TrainingReference(train, signature, project.monitoring.schedule, task.segments, task.min_segment_rows)


def seen_and_sent(signature: BundleSignature) -> tuple[SignatureColumn, ...]:
    """Return the columns that a model sees, and those that a caller sends for them besides."""
    seen = {column.name for column in signature.model_inputs}
    return (*signature.model_inputs, *(column for column in signature.inputs if column.name not in seen))


def answers_reference(
    task: str,
    validation: Predicted,
    threshold: float | None,
    times: Array,
    schedule: str,
    segments: Mapping[str, SegmentCuts] | None = None,
    dividing: Mapping[str, Array] | None = None,
) -> Reference:
    """Return the reference of scores and decisions as the predictions zone keeps them.

    They are those of validation, whose rows have these `times` and are divided into the segments by the columns in
    `dividing`: of the rows that a model was fitted on it is too sure.
    """
    columns: dict[str, Array] = {}
    types: dict[str, ColumnType] = {SCORE: "number"}
    if validation.probabilities is None:
        columns[SCORE] = validation.predictions
    elif task == "multiclass":
        columns[SCORE] = validation.probabilities.max(axis=1)
        columns[DECISION], types[DECISION] = validation.predictions.astype(str).astype(object), "category"
    else:
        columns[SCORE] = validation.probabilities[:, 1]
        if threshold is not None:
            columns[DECISION], types[DECISION] = columns[SCORE] >= threshold, "boolean"
    columns |= dividing or {}
    reference = make_reference(columns, types, segments=segments)
    return replace(reference, usual=usual_moves(reference, _windows(reference, columns, times, schedule)))


def _windows(reference: Reference, columns: dict[str, Array], times: Array, schedule: str) -> Iterator[Profile]:
    """Yield the windows that monitoring will have, as they would have been in the reference's own time.

    They follow one another. Where there are few (weeks, in two months) they overlap: what moves in each of them, as the
    day of the month does, would else not be known.
    """
    seconds, length = times.astype("datetime64[s]").astype(np.int64), _SECONDS[schedule]
    order = np.argsort(seconds, kind="stable")
    seconds = seconds[order]
    numbers = seconds // length
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    ends = np.append(starts[1:], len(numbers))
    if _LEAST <= len(starts) < _OVERLAPPING:
        begins = np.linspace(seconds[0], seconds[-1] + 1 - length, _OVERLAPPING)
        starts, ends = (np.searchsorted(seconds, moments) for moments in (begins, begins + length))
    step = max(1, -(-len(starts) // _WINDOWS))
    for begin, end in zip(starts[::step], ends[::step], strict=True):
        rows = order[begin:end]
        yield count(reference.layout, {name: values[rows] for name, values in columns.items()})


def most_telling(columns: dict[str, Array], types: dict[str, ColumnType], labels: Array) -> list[str]:
    """Return the columns by how much of the label their parts tell (the correlation ratio, Fisher 1925)."""
    step = max(1, len(labels) // _RANKED_ROWS)
    label = _one_hot(labels[::step])
    told: dict[str, float] = {}
    for name, type_ in types.items():
        if type_ == "datetime":
            continue
        some = columns[name][::step]
        layout = make_reference({name: some}, {name: type_}, [name]).layout
        if name in layout.quarters:
            told[name] = _told(layout.parts(name, some), label)
    return sorted(told, key=lambda name: -told[name])


def column_of(rows: Rows, name: str, type_: ColumnType) -> Array:
    return _values(rows.frame[name] if name in rows.frame else rows.sent_frame[name], type_)


def _values(values: pd.Series[Any], type_: ColumnType) -> Array:
    """Return a column of a typed frame, which holds truth values as numbers, as callers send it."""
    array: Array = values.to_numpy()
    if type_ != "boolean":
        return array
    truth = np.where(array == 1, True, False).astype(object)
    truth[np.isnan(array)] = None
    return truth


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
