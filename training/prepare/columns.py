"""Features from which nothing can be learnt, or too much: empty, constant, or a name of the row."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Final, Literal

import duckdb

from passerelle.contracts.container import Problem
from passerelle.domain.project import Column, Project
from training.prepare.sql import count_rows, quoted

MIN_TRAIN_ROWS: Final = 50


def useless_columns(connection: duckdb.DuckDBPyConnection, project: Project) -> Iterator[tuple[str, str]]:
    """Yield (feature, why) for columns from which nothing can be learnt."""
    train = count_rows(connection, "split", "__part = 'train'")
    for column in project.feature_columns:
        present, distinct = _counts(connection, column)
        if present == 0:
            yield column.name, "empty in every row"
        elif distinct == 1 and present == train:
            yield column.name, "constant"
        elif train >= MIN_TRAIN_ROWS and _identifies(connection, column, present, distinct):
            yield column.name, f"different in {distinct / present:.0%} of the rows: it identifies them"


def _identifies(connection: duckdb.DuckDBPyConnection, column: Column, present: int, distinct: int) -> bool:
    """Return whether a column names rows instead of describing them.

    Texts do so when nearly all differ. Whole numbers must all differ and lie densely, as serial numbers do: amounts
    may all differ too, so those are only flagged (`id_like`).
    """
    if column.type in ("category", "text"):
        return present >= MIN_TRAIN_ROWS and distinct > 0.95 * present
    return _unique_integers(connection, column, present, distinct) == "dense"


def _unique_integers(
    connection: duckdb.DuckDBPyConnection, column: Column, present: int, distinct: int
) -> Literal["dense", "sparse"] | None:
    if column.type not in ("integer", "number") or distinct != present or present < MIN_TRAIN_ROWS:
        return None
    name = quoted(column.name)
    query = f"""SELECT max(CAST({name} AS DOUBLE)) - min(CAST({name} AS DOUBLE)), bool_and({name} = floor({name}))
                FROM split WHERE __part = 'train'"""
    width, whole = connection.execute(query).fetchone() or (None, False)
    if not whole:
        return None
    return "dense" if width < 2 * present else "sparse"


def suspicious_columns(
    connection: duckdb.DuckDBPyConnection, project: Project, dropped: Container[str]
) -> Iterator[Problem]:
    """Yield a warning per feature of whole numbers that differ in every row."""
    for column in project.feature_columns:
        present, distinct = _counts(connection, column)
        if column.name in dropped or _unique_integers(connection, column, present, distinct) is None:
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


def _counts(connection: duckdb.DuckDBPyConnection, column: Column) -> tuple[int, int]:
    """Return how many rows of train have a value, and how many values there are."""
    name = quoted(column.name)
    query = f"SELECT count({name}), count(DISTINCT {name}) FROM split WHERE __part = 'train'"
    present, distinct = connection.execute(query).fetchone() or (0, 0)
    return int(present), int(distinct)
