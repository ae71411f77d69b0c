"""The label as models learn it, and what is wrong with it as a whole."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import ibis

from passerelle.contracts.container import Problem
from passerelle.domain.dataset.schema import LABEL
from passerelle.domain.project import Project
from training.prepare.columns import MIN_TRAIN_ROWS
from training.prepare.engine import Engine

MIN_PART_ROWS: Final = 20
_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt
}  # fmt: skip


def label_value(engine: Engine, project: Project, value: Any) -> Any:
    """Return the label of a column's value: a number, a class, or whether it is positive."""
    label = project.data.label
    if project.task.type == "regression":
        return value.cast("float64")
    if project.task.type == "multiclass":
        return engine.text(value)
    comparison = label.comparison()
    if comparison:
        sign, bound = comparison
        exact = int(bound) if value.type().is_integer() and bound.is_integer() else bound
        return _COMPARISONS[sign](value, exact).cast("int8")
    positive = label.positive
    if value.type().is_numeric() and isinstance(positive, bool | int | float):
        return (value == (int(positive) if isinstance(positive, bool) else positive)).cast("int8")
    if value.type().is_boolean() and isinstance(positive, bool):
        return (value == positive).cast("int8")
    word = str(positive).lower() if isinstance(positive, bool) else str(positive)
    return (engine.text(value) == word).cast("int8")


def class_counts(engine: Engine, project: Project, labelled: Any) -> list[tuple[str, int]]:
    """Return how many rows of a tally each class has, in the order of the classes; of a regression none."""
    if project.task.type == "regression":
        return []
    counts = labelled.group_by(LABEL).agg(n=labelled["n"].sum())
    return sorted((str(row[LABEL]), int(row["n"])) for row in engine.answers(counts))


def label_summary(engine: Engine, labelled: Any, classes: list[tuple[str, int]]) -> dict[str, float]:
    """Return the shares of the most frequent classes, or moments: to 12 digits, which no order of summing changes."""
    if classes:
        total, most = sum(count for _, count in classes), sorted(classes, key=lambda item: -item[1])[:50]
        return {f"share_of_{value}": count / total for value, count in most}
    label = labelled[LABEL]
    if not label.type().is_floating():
        return {}
    moments = labelled.agg(
        mean=label.mean(), std=label.std(how="pop"), min=label.min(), max=label.max(), median=label.median()
    )
    (found,) = engine.answers(moments)
    return {name: float(f"{value:.12g}") for name, value in found.items() if value is not None and value == value}


def problem(code: str, rule: str, message: str, remedy: str, column: str | None, count: int = 1) -> Problem:
    """Return a problem of the dataset as a whole."""
    return Problem(code=code, column=column, rule=rule, message=message, remedy=remedy, count=count)


def label_problems(project: Project, rows: int, unlabelled: int, classes: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield why no model could learn the label from these rows."""
    label, limit = project.data.label.column, project.data.thresholds.missing_labels
    if rows and unlabelled / rows > limit:
        yield problem(
            "missing_labels",
            f"at most {limit:.1%} of the rows lack their label",
            f"{unlabelled:,} of {rows:,} rows ({unlabelled / rows:.1%}) have no {label!r}",
            "Drop the file again when the labels are known, or raise data.thresholds.missing_labels.",
            label,
            unlabelled,
        )
    labelled = rows - unlabelled
    least = MIN_TRAIN_ROWS + 2 * MIN_PART_ROWS
    if labelled < least:
        yield problem(
            "too_few_rows",
            f"at least {least} labelled rows",
            f"there are {labelled:,} labelled rows",
            "Drop more data; files of several drops add up.",
            label,
        )
    declared = set(project.data.label.classes)
    for value, count in classes:
        if declared and value not in declared:
            rule = f"a class is one of {', '.join(sorted(declared))}"
            message = f"class {value!r} of {label!r} is not declared ({count:,} rows)"
            remedy = "Correct the rows, or extend data.label.classes."
            yield problem("unknown_class", rule, message, remedy, label, count)
    if len(classes) == 1 and labelled >= least:
        yield problem(
            "single_class",
            "the label has at least two classes",
            f"every row has the same class of {label!r}: {_class_words(project, classes[0][0])}",
            "Drop data in which the label varies, or correct data.label.",
            label,
            labelled,
        )


def _class_words(project: Project, value: str) -> str:
    if project.task.type == "multiclass":
        return repr(value)
    return f"{'positive' if value == '1' else 'negative'} ({project.data.label.positive})"


def row_text(engine: Engine, project: Project, table: Any) -> Any:
    """Return a row's values as one text that no other row has."""
    texts = [engine.text(table[column.name]).fill_null("\x01") for column in project.data.columns]
    return ibis.literal("\x1f").join(texts)
