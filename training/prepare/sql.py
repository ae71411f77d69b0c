"""Paths and counts in DuckDB's SQL."""

from __future__ import annotations

from pathlib import Path

import duckdb


def literal(path: Path) -> str:
    """Return a path as an SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def count_rows(connection: duckdb.DuckDBPyConnection, table: str, where: str = "true") -> int:
    """Return how many rows of a table keep a condition."""
    found = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
    assert found is not None
    return int(found[0])
