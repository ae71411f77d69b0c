"""Rules of the training section that concern other sections too: weights, constraints, calibration."""

from __future__ import annotations

from collections.abc import Iterator

from passerelle.domain.project.findings import Finding, did_you_mean
from passerelle.domain.project.model import Project

#: How `class_weight` names the classes of a binary task.
BINARY_CLASSES = ("negative", "positive")


def crosscheck_training(project: Project) -> Iterator[Finding]:
    """Yield (path of the field, problem) for what the training section asks of columns and task."""
    yield from _weight_column(project)
    yield from _class_weight(project)
    yield from _monotone(project)
    if project.task.type == "regression" and project.training.calibration in ("sigmoid", "isotonic"):
        yield ("training", "calibration"), "a regression has no probabilities to calibrate; leave it out"


def _weight_column(project: Project) -> Iterator[Finding]:
    name = project.training.weight_column
    if name is None:
        return
    path = ("training", "weight_column")
    columns = {column.name: column for column in project.data.columns}
    if name not in columns:
        yield path, f"{name!r} is not among data.columns; {did_you_mean(name, list(columns))}"
        return
    column = columns[name]
    if name in (project.data.label.column, project.data.event_time):
        yield path, f"column {name!r} is the label or the event time; a weight is a column of its own"
    if column.type not in ("integer", "number"):
        yield path, f"column {name!r} is of type {column.type}; a weight is a number"
    elif column.min is None or column.min < 0:
        yield path, f"declare column {name!r} with min: 0, so that a row of negative weight is rejected and named"
    if column.nullable:
        yield path, f"column {name!r} is nullable; a row without its weight cannot be weighed: remove nullable"


def _class_weight(project: Project) -> Iterator[Finding]:
    weights, path = project.training.class_weight, ("training", "class_weight")
    if weights is None:
        return
    if project.task.type == "regression":
        yield path, "a regression has no classes; weigh its rows with training.weight_column"
    elif isinstance(weights, dict):
        known = BINARY_CLASSES if project.task.type == "binary" else project.data.label.classes
        for name in weights:
            if known and name not in known:
                yield (*path, name), f"{name!r} is no class of the label; known: {', '.join(known)}"


def _monotone(project: Project) -> Iterator[Finding]:
    features = {column.name: column for column in project.feature_columns}
    for name in project.training.monotone:
        path = ("training", "monotone", name)
        if name not in features:
            yield path, f"{name!r} is no feature; {did_you_mean(name, list(features))}"
        elif features[name].type not in ("integer", "number"):
            yield path, f"column {name!r} is of type {features[name].type}; only a number can rise and fall"
    if project.training.monotone and project.task.type == "multiclass":
        yield ("training", "monotone"), "with several classes there is no one answer that could rise; leave it out"
