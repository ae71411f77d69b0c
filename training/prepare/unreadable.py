"""The error of a file that cannot be read as a whole."""

from __future__ import annotations

from passerelle.contracts.container import Problem
from passerelle.errors import InputError


class UnreadableFileError(InputError):
    """A file cannot be read at all; `problem` says what is wrong, where, and the remedy."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def unreadable(
    code: str, key: str, message: str, remedy: str, *, row: int | None = None, column: str | None = None
) -> UnreadableFileError:
    """Return the error of a file that is none of what the contract says."""
    rule = "the file can be read"
    return UnreadableFileError(
        Problem(code=code, file=key, row=row, column=column, rule=rule, message=message, remedy=remedy)
    )


def too_wide(key: str, columns: int, limit: int, row: int | None = None) -> UnreadableFileError:
    """Return the error of a file with more columns than are read."""
    message = f"the file has {columns:,} columns; the limit is {limit:,}"
    return unreadable("too_wide", key, message, "Drop fewer columns: those of the contract.", row=row)


def cell_too_long(key: str, row: int, limit: int, column: str | None = None) -> UnreadableFileError:
    """Return the error of a file with a cell that no table should hold."""
    message = f"row {row} has a cell of more than {limit:,} characters"
    remedy = "Close the quote if one is open; keep documents elsewhere and drop a reference to them."
    return unreadable("cell_too_long", key, message, remedy, row=row, column=column)
