"""One feature's Ibis expression: held to what a server can compute for a single row, then compiled to DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ibis
import ibis.expr.operations as ops
import sqlglot
from sqlglot import expressions as sql

from passerelle.contracts.bundle import ColumnType, DerivedFeature, DerivedType, SignatureColumn
from passerelle.domain.features.query import input_name
from passerelle.domain.project import Column, Project

_ROWS: Final = "rows"
_TYPES: Final[Mapping[ColumnType, str]] = {
    "integer": "int64",
    "number": "float64",
    "boolean": "boolean",
    "category": "string",
    "text": "string",
    "datetime": "timestamp",
}
#: What no server can compute of one row as training did of many, the most telling first: (operations, why, remedy).
_REFUSED: Final[tuple[tuple[Any, str, str], ...]] = (
    (ops.ScalarUDF, "runs code of its own", "Write it with Ibis's operations, which run in training and serving."),
    (ops.Subquery, "looks at other rows", "Use the columns of `rows` itself, as they are."),
    (ops.Reduction, "aggregates rows", "A request may be a single row; write the number down as a constant."),
    ((ops.Analytic, ops.WindowFunction), "looks at other rows", "A feature is of one row; prepare it before the drop."),
    (ops.Impure, "is another each time", "Use a column instead, such as the event time."),
    (ops.Unnest, "makes several rows of one", "Take one element: value[0]."),
    (ops.Hash, "differs from version to version", "Use value.hexdigest()."),
)


class FeatureError(Exception):
    """What is wrong with one feature, and the remedy."""


def open_rows(project: Project) -> Any:
    """Return the table that features.py gets: the columns that it may read, in the contract's types."""
    return ibis.table({column.name: _TYPES[column.type] for column in project.derivable_columns}, name=_ROWS)


def compile_feature(name: str, declared: DerivedType, value: Any, rows: Any, project: Project) -> DerivedFeature:
    """Return a feature as its SQL.

    Raises FeatureError when its expression is none of a single row, or not of the declared type.
    """
    if not isinstance(value, ibis.Value):
        kind = type(value).__name__
        raise FeatureError(f"is a {kind}, no Ibis expression; return a value made of the columns of `rows`")
    operation = value.op()
    _need_row_wise(operation, rows)
    _need_type(declared, value.type())
    read = {field.name for field in operation.find(ops.Field)}
    if not read:
        raise FeatureError("reads no column, so it is the same for every row; make it of the columns of `rows`")
    reads = tuple(_signature(column) for column in project.derivable_columns if column.name in read)
    return DerivedFeature(name=name, type=declared, reads=reads, sql=_expression(rows, value))


def _need_row_wise(operation: Any, rows: Any) -> None:
    for kinds, why, remedy in _REFUSED:
        found = operation.find(kinds)
        if found:
            raise FeatureError(f"uses {type(found[0]).__name__}, which {why}. {remedy}")
    others = [item for item in operation.relations if item != rows.op()]
    if others:
        raise FeatureError(
            f"reads another table ({type(others[0]).__name__}). Use the columns of `rows` only: a server has no others."
        )


def _need_type(declared: DerivedType, type_: Any) -> None:
    found = type_of(type_)
    if found is None:
        raise FeatureError(
            f"is of Ibis's type {type_}. A feature is an integer, a number, a boolean or a text: take a part of it "
            "(of a moment .hour(), of an interval .total_seconds()), or cast it."
        )
    if found != declared and (declared, found) != ("number", "integer"):
        raise FeatureError(
            f"is declared as {declared}, and its expression is {found} ({type_}). Write `type: {found}`, or cast it."
        )


def type_of(type_: Any) -> DerivedType | None:
    """Return the contract's word for an Ibis type, None for one that is no feature's."""
    if type_.is_integer():
        return "integer"
    if type_.is_floating() or type_.is_decimal():
        return "number"
    if type_.is_boolean():
        return "boolean"
    return "category" if type_.is_string() else None


def _signature(column: Column) -> SignatureColumn:
    return SignatureColumn(name=column.name, type=column.type, nullable=column.nullable, min=column.min, max=column.max)


def _expression(rows: Any, value: Any) -> str:
    """Return an expression's SQL over the columns as `input_name` calls them."""
    try:
        select = sqlglot.parse_one(ibis.to_sql(rows.select(it=value), dialect="duckdb"), dialect="duckdb")
    except Exception as error:  # Ibis raises many kinds for what it cannot translate
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeatureError(f"cannot be written in DuckDB's SQL: {words}. Write it with other operations.") from error
    if not isinstance(select, sql.Select) or select.args.get("with_") or select.args.get("joins"):
        raise FeatureError("is more than one expression over `rows`; write it with operations of single values.")
    alias = select.find(sql.Table).alias  # type: ignore[union-attr]

    def renamed(node: Any) -> Any:
        if isinstance(node, sql.Column) and node.table == alias:
            return sqlglot.parse_one(input_name(node.name), dialect="duckdb")
        return node

    return str(select.expressions[0].unalias().transform(renamed).sql(dialect="duckdb"))
