"""The SQL that derives features, for rows of a file and for rows of a request: one text of each feature in both.

Layer by layer: what was read gets the same types and one zero; each feature is computed, where that fails it is
missing; what came out becomes a value that a model can be asked with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from passerelle.contracts.bundle import ColumnType, DerivedFeature, DerivedType, SignatureColumn
from passerelle.contracts.words import MAX_NUMBER

#: What a request's values are before they get their type: numbers are floats there.
_SENT: Final[Mapping[ColumnType, str]] = {
    "integer": "DOUBLE",
    "number": "DOUBLE",
    "boolean": "DOUBLE",
    "category": "VARCHAR",
    "text": "VARCHAR",
    "datetime": "TIMESTAMP",
}
_COMPUTED: Final[Mapping[DerivedType, str]] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "category": "VARCHAR",
}


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def input_name(name: str) -> str:
    """Return how an expression names a column that it reads."""
    return quoted(f"__in_{name}")


def read_columns(derived: Sequence[DerivedFeature]) -> tuple[SignatureColumn, ...]:
    """Return every column that some feature reads, once."""
    return tuple({column.name: column for feature in derived for column in feature.reads}.values())


def prepared_query(rows: str, derived: Sequence[DerivedFeature]) -> str:
    """Return a query of all columns of some rows, and of their features."""
    if not derived:
        return rows
    reads = read_columns(derived)
    passing = [*(input_name(column.name) for column in reads), *(_value_name(feature) for feature in derived)]
    typed = f"SELECT *, {_typed(reads)} FROM ({rows})"
    return (
        f"SELECT * EXCLUDE ({', '.join(passing)}), {_kept(derived)} FROM (SELECT *, {_values(derived)} FROM ({typed}))"
    )


def served_query(derived: Sequence[DerivedFeature]) -> str:
    """Return a query of the features of rows whose columns are its parameters, in the order of `read_columns`."""
    reads = read_columns(derived)
    sent = ", ".join(f"unnest(${n}::{_SENT[c.type]}[]) AS {quoted(c.name)}" for n, c in enumerate(reads, 1))
    return (
        f"SELECT {_kept(derived)} FROM (SELECT {_values(derived)} FROM (SELECT {_typed(reads)} FROM (SELECT {sent})))"
    )


def _typed(reads: Sequence[SignatureColumn]) -> str:
    return ", ".join(f"{_as_read(column)} AS {input_name(column.name)}" for column in reads)


def _as_read(column: SignatureColumn) -> str:
    name = quoted(column.name)
    if column.type == "integer":  # a request's is a float: beyond 2^53 both are rounded, as they are for every model
        return f"TRY_CAST(CAST({name} AS DOUBLE) AS BIGINT)"
    if column.type == "number":
        return f"CASE WHEN {name} = 0 THEN CAST(0 AS DOUBLE) ELSE CAST({name} AS DOUBLE) END"
    kind = {"boolean": "BOOLEAN", "datetime": "TIMESTAMP"}.get(column.type, "VARCHAR")
    return f"CAST({name} AS {kind})"


def _value_name(feature: DerivedFeature) -> str:
    return quoted(f"__value_{feature.name}")


def _values(derived: Sequence[DerivedFeature]) -> str:
    return ", ".join(f"TRY(CAST({f.sql} AS {_COMPUTED[f.type]})) AS {_value_name(f)}" for f in derived)


def _kept(derived: Sequence[DerivedFeature]) -> str:
    return ", ".join(f"{_as_kept(feature)} AS {quoted(feature.name)}" for feature in derived)


def _as_kept(feature: DerivedFeature) -> str:
    value = _value_name(feature)
    if feature.type == "number":  # to DuckDB NaN is greater than every number
        return f"CASE WHEN {value} = 0 THEN CAST(0 AS DOUBLE) WHEN abs({value}) <= {MAX_NUMBER!r} THEN {value} END"
    return f"NULLIF({value}, '')" if feature.type == "category" else value
