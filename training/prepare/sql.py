"""Paths, counts and the writing of Parquet in DuckDB's SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

#: A row group's column of more values is written without a dictionary: building one that then is not used takes longer
#: than all else of writing it.
DICTIONARIES: Final = "DICTIONARY_SIZE_LIMIT 5000"


def literal(text: Path | str) -> str:
    """Return a path or another text as an SQL text."""
    return "'" + str(text).replace("'", "''") + "'"


def count_rows(connection: duckdb.DuckDBPyConnection, table: str, where: str = "true") -> int:
    """Return how many rows of a table keep a condition."""
    found = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
    assert found is not None
    return int(found[0])
