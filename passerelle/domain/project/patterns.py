"""Regular expressions of a contract: they run in RE2 (in DuckDB), so RE2 decides what is one."""

from __future__ import annotations

import importlib.util


def whole_match(pattern: str) -> str:
    """Return the expression that matches where the pattern matches the whole text."""
    return f"^(?:{pattern})$"


def pattern_error(pattern: str) -> str | None:
    """Return why RE2 does not run a pattern, None when it does.

    Asked by DuckDB itself where it is installed: where projects are deployed, and in the job that runs the pattern.
    A Lambda function, which has no DuckDB, reads only projects that were deployed.
    """
    if "\0" in pattern:
        return "it holds a NUL character"
    if importlib.util.find_spec("duckdb") is None:
        return None
    import duckdb

    with duckdb.connect() as connection:
        for expression in (pattern, whole_match(pattern)):
            try:
                connection.execute("SELECT regexp_matches('', ?, 's')", [expression])
            except duckdb.Error as error:
                return str(error).removeprefix("Invalid Input Error: ").splitlines()[0]
    return None
