"""Features from which nothing can be learnt, or too much: empty, constant, or a name of the row."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, Final, Literal

from passerelle.contracts.container import Problem
from passerelle.domain.project import Column, Project
from training.prepare.engine import Engine

MIN_TRAIN_ROWS: Final = 50
#: Distinct values are counted for so many columns at once: each keeps its values in memory meanwhile.
COLUMNS_AT_ONCE: Final = 8
#: By column, how many rows of train have a value, and how many values there are.
Counts = Mapping[str, tuple[int, int]]


def count_values(engine: Engine, project: Project, train: Any) -> Counts:
    """Count the values of every feature."""
    names = [column.name for column in project.feature_columns]
    counts: dict[str, tuple[int, int]] = {}
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        some = list(enumerate(names[start : start + COLUMNS_AT_ONCE]))
        asked = {f"present{i}": train[name].count() for i, name in some}
        asked |= {f"distinct{i}": train[name].nunique() for i, name in some}
        (found,) = engine.answers(train.agg(**asked))
        counts |= {name: (int(found[f"present{i}"]), int(found[f"distinct{i}"])) for i, name in some}
    return counts


def useless_columns(
    engine: Engine, project: Project, train: Any, rows: int, counts: Counts
) -> Iterator[tuple[str, str]]:
    """Yield (feature, why) for columns from which nothing can be learnt."""
    for column in project.feature_columns:
        present, distinct = counts[column.name]
        if present == 0:
            yield column.name, "empty in every row"
        elif distinct == 1 and present == rows:
            yield column.name, "constant"
        elif rows >= MIN_TRAIN_ROWS and _identifies(engine, column, train, present, distinct):
            yield column.name, f"different in {distinct / present:.0%} of the rows: it identifies them"


def _identifies(engine: Engine, column: Column, train: Any, present: int, distinct: int) -> bool:
    """Return whether a column names rows instead of describing them.

    Texts do so when nearly all differ. Whole numbers must all differ and lie densely, as serial numbers do: amounts
    may all differ too, so those are only flagged (`id_like`).
    """
    if column.type in ("category", "text"):
        return present >= MIN_TRAIN_ROWS and distinct > 0.95 * present
    return _unique_integers(engine, column, train, present, distinct) == "dense"


def _unique_integers(
    engine: Engine, column: Column, train: Any, present: int, distinct: int
) -> Literal["dense", "sparse"] | None:
    if column.type not in ("integer", "number") or distinct != present or present < MIN_TRAIN_ROWS:
        return None
    value = train[column.name].cast("float64")
    (found,) = engine.answers(train.agg(width=value.max() - value.min(), whole=(value == value.floor()).all()))
    if not found["whole"]:
        return None
    return "dense" if found["width"] < 2 * present else "sparse"


def suspicious_columns(
    engine: Engine, project: Project, train: Any, counts: Counts, dropped: Container[str]
) -> Iterator[Problem]:
    """Yield a warning per feature of whole numbers that differ in every row."""
    for column in project.feature_columns:
        present, distinct = counts[column.name]
        if column.name in dropped or _unique_integers(engine, column, train, present, distinct) is None:
            continue
        yield Problem(
            code="id_like",
            severity="warning",
            column=column.name,
            rule="a feature describes the row, and does not identify it",
            message=f"column {column.name!r} is a different whole number in each of {present:,} rows of train",
            remedy="If it is an id, set role: ignored; if it is a quantity, nothing is to be done.",
            count=present,
        )
