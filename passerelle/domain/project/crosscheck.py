"""Rules of a project.yaml that concern several fields: each problem names its field and the remedy."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from passerelle.domain.project.crosscheck_experiment import crosscheck_experiment
from passerelle.domain.project.crosscheck_training import crosscheck_training
from passerelle.domain.project.crosscheck_tuning import crosscheck_tuning
from passerelle.domain.project.findings import Finding, Path, did_you_mean
from passerelle.domain.project.instance_types import unknown_instance_type
from passerelle.domain.project.metric_names import CANDIDATES, METRICS
from passerelle.domain.project.model import Project

#: Names that the quarantine gives to its own columns.
RESERVED = ("_line", "_file", "_reasons", "_raw")


def crosscheck(project: Project) -> Iterator[Finding]:
    """Yield (path of the field, problem) for everything that does not fit together."""
    for check in _CHECKS:
        yield from check(project)


def _columns_are_unique(project: Project) -> Iterator[Finding]:
    seen: set[str] = set()
    named: list[tuple[Path, str]] = [(("data", "columns", i), c.name) for i, c in enumerate(project.data.columns)]
    named += [(("data", "features", "columns", i), c.name) for i, c in enumerate(project.derived_columns)]
    for path, name in named:
        # To SQL, names that differ by case are the same; to a reader, those that differ by how an accent is written.
        key = unicodedata.normalize("NFC", name).lower()
        if key in seen:
            yield (*path, "name"), f"column {name!r} is declared twice (names differ by more than their case)"
        if name.startswith("__") or name.lower() in RESERVED:
            yield (*path, "name"), f"{name!r} is reserved, as are names that start with two underscores"
        if name != name.strip():
            yield (*path, "name"), f"{name!r} has spaces around it; a file's header is read without them"
        seen.add(key)


def _named_columns_exist(project: Project) -> Iterator[Finding]:
    known = [column.name for column in project.data.columns]
    named: list[tuple[Path, str]] = [
        (("data", "label", "column"), project.data.label.column),
        (("data", "event_time"), project.data.event_time),
        *([(("data", "inference_id"), project.data.inference_id)] if project.data.inference_id else []),
        *((("data", "entity_id", index), name) for index, name in enumerate(project.data.entity_id)),
    ]
    for path, name in named:
        if name not in known:
            yield path, f"{name!r} is not among data.columns; {did_you_mean(name, known)}"
    known += [column.name for column in project.derived_columns]
    for index, name in enumerate(project.task.segments):
        if name not in known:
            yield ("task", "segments", index), f"{name!r} is not among data.columns; {did_you_mean(name, known)}"


def _texts_can_be_held(project: Project) -> Iterator[Finding]:
    """No text of the contract may hold a NUL character: SQL has no way to write it."""
    data = project.data
    texts: list[tuple[Path, object]] = [(("data", "null_values", i), word) for i, word in enumerate(data.null_values)]
    for index, column in enumerate(data.columns):
        path: Path = ("data", "columns", index)
        texts += [((*path, "name"), column.name)]
        texts += [((*path, "allowed", place), item) for place, item in enumerate(column.allowed or ())]
    for index, column in enumerate(project.derived_columns):
        texts += [(("data", "features", "columns", index, "name"), column.name)]
    for path, text in texts:
        if "\0" in str(text):
            yield path, f"{text!r} holds a NUL character; remove it"


def _inference_ids_are_texts_that_no_model_sees(project: Project) -> Iterator[Finding]:
    for column in project.data.columns:
        if column.name != project.data.inference_id:
            continue
        if column.type not in ("category", "text"):
            yield (
                ("data", "inference_id"),
                f"column {column.name!r} is of type {column.type}; it must be category or text",
            )
        if column.role != "ignored":
            what = f"column {column.name!r} names requests, which a model must not learn from: give it `role: ignored`"
            yield ("data", "inference_id"), what


def _event_time_is_a_time(project: Project) -> Iterator[Finding]:
    for column in project.data.columns:
        if column.name == project.data.event_time and column.type != "datetime":
            yield ("data", "event_time"), f"column {column.name!r} is of type {column.type}; it must be datetime"
        if column.name == project.data.event_time and column.nullable:
            what = f"column {column.name!r} is nullable; a row without its time belongs to no period: remove nullable"
            yield ("data", "event_time"), what


def _label_fits_the_task(project: Project) -> Iterator[Finding]:
    label, types = project.data.label, {column.name: column.type for column in project.data.columns}
    label_type = types.get(label.column)
    if project.task.type == "binary" and label.positive is None:
        yield ("data", "label", "positive"), "a binary task needs the positive value, or a comparison such as '> 15'"
    if project.task.type != "binary" and label.positive is not None:
        yield ("data", "label", "positive"), f"is for binary tasks; this one is {project.task.type}"
    numeric = label_type in ("integer", "number")
    if label_type and (label.comparison() or project.task.type == "regression") and not numeric:
        yield ("data", "label", "column"), f"column {label.column!r} is of type {label_type}; it must be a number"
    if label_type == "datetime":
        yield ("data", "label", "column"), "a datetime cannot be predicted; derive a number from it"


def _metric_fits_the_task(project: Project) -> Iterator[Finding]:
    known = list(METRICS[project.task.type])
    if project.task.metric not in known:
        hint = did_you_mean(project.task.metric, known)
        yield ("task", "metric"), f"{project.task.metric!r} is not a metric of a {project.task.type} task; {hint}"


def _candidates_fit_the_task(project: Project) -> Iterator[Finding]:
    known = list(CANDIDATES[project.task.type])
    for index, name in enumerate(project.training.candidates):
        if name not in known:
            hint = did_you_mean(name, known)
            yield ("training", "candidates", index), f"{name!r} is no candidate of a {project.task.type} task; {hint}"
    if project.training.candidates and "baseline" not in project.training.candidates:
        yield ("training", "candidates"), "must contain 'baseline': the gate compares with it"


def _something_is_left_to_learn_from(project: Project) -> Iterator[Finding]:
    if not project.feature_columns and not project.training.time_features:
        yield ("data", "columns"), "no column is a feature: every one is label, time, ignored, personal or leakage"


def _segments_can_be_seen(project: Project) -> Iterator[Finding]:
    """A segment's column must be in the prepared data, and have few values or a range that can be cut."""
    features = {column.name for column in project.feature_columns}
    columns = {column.name: column for column in (*project.data.columns, *project.derived_columns)}
    for index, name in enumerate(project.task.segments):
        if name not in columns:
            continue
        path: Path = ("task", "segments", index)
        if columns[name].type == "datetime":
            what = f"column {name!r} is a datetime; segment by a feature with few values (a weekday, a site) instead"
            yield path, what
        elif name not in features:
            yield (
                path,
                (
                    f"column {name!r} does not reach the prepared data (label, ignored, leakage or personal): the gate "
                    "never sees it; make it a feature, or take it from the segments"
                ),
            )


def _money_rewards_what_is_right(project: Project) -> Iterator[Finding]:
    """A right decision is worth more than the wrong one (Elkan 2001, reasonableness conditions); costs are negative."""
    value = project.why.value
    if value is None:
        return
    if project.task.type == "binary" and any(
        (value.true_positive, value.false_positive, value.true_negative, value.false_negative)
    ):
        for right, wrong in (("true_positive", "false_negative"), ("true_negative", "false_positive")):
            if getattr(value, right) <= getattr(value, wrong):
                yield (
                    ("why", "value", right),
                    (
                        f"{right} {getattr(value, right):g} is not worth more than {wrong} {getattr(value, wrong):g}: "
                        "one decision would always be the best; write costs as negative numbers"
                    ),
                )
    if value.per_error_unit > 0:
        yield ("why", "value", "per_error_unit"), f"an error costs: write -{value.per_error_unit:g}"


def _parts_of_the_split_leave_enough(project: Project) -> Iterator[Finding]:
    split = project.training.split
    if split.validation + split.test > 0.8:
        yield ("training", "split"), "validation and test together take more than 80 % of the rows"


def _instance_types_exist(project: Project) -> Iterator[Finding]:
    training = project.training
    fallback = [(("training", "fallback_instance_types", i), t) for i, t in enumerate(training.fallback_instance_types)]
    for path, name in ((("training", "instance_type"), training.instance_type), *fallback):
        if what := unknown_instance_type(name, "training"):
            yield path, what
    if what := unknown_instance_type(project.serving.instance_type, "endpoint"):
        yield ("serving", "instance_type"), what


_CHECKS: tuple[Callable[[Project], Iterator[Finding]], ...] = (
    _columns_are_unique,
    _named_columns_exist,
    _texts_can_be_held,
    _event_time_is_a_time,
    _inference_ids_are_texts_that_no_model_sees,
    _label_fits_the_task,
    _metric_fits_the_task,
    _candidates_fit_the_task,
    crosscheck_tuning,
    _something_is_left_to_learn_from,
    _segments_can_be_seen,
    _money_rewards_what_is_right,
    _parts_of_the_split_leave_enough,
    _instance_types_exist,
    crosscheck_training,
    crosscheck_experiment,
)
