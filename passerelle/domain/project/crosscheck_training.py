"""Rules of the training section that concern other sections too: weights, constraints, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from passerelle.domain.project.findings import Finding, Path, did_you_mean
from passerelle.domain.project.gpu_types import ON_GPU, has_gpu, unusable_gpu
from passerelle.domain.project.metric_names import OWN
from passerelle.domain.project.model import Column, Project
from passerelle.domain.rule import Line, Test, parse_rule

#: How `class_weight` names the classes of a binary task.
BINARY_CLASSES = ("negative", "positive")


def crosscheck_training(project: Project) -> Iterator[Finding]:
    """Yield (path of the field, problem) for what the training section asks of columns and task."""
    yield from _weight_column(project)
    yield from _class_weight(project)
    yield from _monotone(project)
    yield from _rule(project)
    yield from _gpus_are_used(project)
    if project.task.type == "regression" and project.training.calibration in ("sigmoid", "isotonic"):
        yield ("training", "calibration"), "a regression has no probabilities to calibrate; leave it out"


def _gpus_are_used(project: Project) -> Iterator[Finding]:
    """A GPU that no candidate uses, or that the image cannot use, would be paid for in vain."""
    training = project.training
    named: list[tuple[Path, str]] = [(("training", "instance_type"), training.instance_type)]
    for index, name in enumerate(training.fallback_instance_types):
        named.append((("training", "fallback_instance_types", index), name))
    used = any(name in (*ON_GPU, OWN) for name in project.candidates)
    remedy = "choose a type without one: `passerelle advise` names the cheapest for a data size"
    for path, name in named:
        if why := unusable_gpu(name):
            yield path, f"{name} has a GPU that training cannot use ({why}); take ml.g4dn, ml.g5 or ml.g6, or {remedy}"
        elif has_gpu(name) and not used:
            why = f"none of the candidates ({', '.join(project.candidates)}) uses it"
            yield path, f"{name} has a GPU and {why}; add {ON_GPU[0]} to training.candidates, or {remedy}"


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


def _rule(project: Project) -> Iterator[Finding]:
    features = {column.name: column for column in project.feature_columns}
    for place, line in enumerate(parse_rule(project.training.rule) if project.training.rule else ()):
        path = ("training", "rule", place)
        for test in line.condition.tests() if line.condition else ():
            if test.column not in features:
                yield path, f"{test.column!r} is no feature; {did_you_mean(test.column, list(features))}"
            else:
                yield from ((path, what) for what in _misfits(test, features[test.column].type))
        yield from ((path, what) for what in _wrong_answer(project, line, features))


def _misfits(test: Test, type_: str) -> Iterator[str]:
    """Yield what of a comparison does not fit the column's type."""
    if test.sign == "is missing":
        return
    if type_ == "datetime":
        yield f"column {test.column!r} is a datetime, which a rule can only find missing"
        return
    kind: type = {"integer": float, "number": float, "boolean": bool}.get(type_, str)
    wrong = [value for value in test.values if not isinstance(value, kind)]
    if wrong:
        yield f"column {test.column!r} is of type {type_} and is compared with {wrong[0]!r}"
    elif kind is not float and test.sign not in ("==", "!=", "in"):
        yield f"column {test.column!r} is of type {type_}, which has no order for {test.sign}"


def _wrong_answer(project: Project, line: Line, features: Mapping[str, Column]) -> Iterator[str]:
    task, answer = project.task.type, line.answer
    if line.is_column:
        column = features.get(str(answer))
        if task != "regression" or column is None or column.type not in ("integer", "number"):
            yield f"answers with column {answer!r}: that is for a regression, and a feature that is a number"
    elif task == "binary" and not (isinstance(answer, float) and 0 <= answer <= 1):
        yield f"answers {answer!r}; a binary task's answer is the probability of its positive class, 0 to 1"
    elif task == "regression" and not isinstance(answer, float):
        yield f"answers {answer!r}; a regression's answer is a number, or a column in backquotes"
    elif task == "multiclass" and project.data.label.classes and str(answer) not in project.data.label.classes:
        yield f"answers {answer!r}; {did_you_mean(str(answer), project.data.label.classes)}"


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
