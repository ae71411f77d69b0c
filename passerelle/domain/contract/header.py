"""Compare a file's columns with the contract's."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from passerelle.contracts.container import Problem
from passerelle.domain.project import Project
from passerelle.domain.project.findings import did_you_mean

#: A run's record holds its problems: a file of thousands of other columns must not fill it.
MAX_NAMED: Final = 20
#: How many names a missing one is compared with, to guess what it was renamed to.
MAX_COMPARED: Final = 200


def canonical(header: list[str], project: Project) -> list[str]:
    """Return the header with the contract's own spelling: an accent may be one character or two (Unicode NFC, NFD)."""
    declared = {unicodedata.normalize("NFC", column.name): column.name for column in project.data.columns}
    return [declared.get(unicodedata.normalize("NFC", name), name) for name in header]


def header_problems(
    project: Project, header: list[str], *, file: str, lines: Mapping[str, int] | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with the names in a file's header; the order of columns is free.

    Parameters
    ----------
    lines : where each name first stands, in a format without a header line (JSON Lines).
    """
    first = 1 if lines is None else None
    for name, count in Counter(header).items():
        if count > 1:
            yield Problem(
                code="duplicate_column",
                file=file,
                row=first,
                column=name,
                rule="column names are unique",
                message=f"column {name!r} appears {count} times in the header",
                remedy="Rename or remove the repeated column.",
            )
    declared = [column.name for column in project.data.columns]
    found, known = set(header), set(declared)
    extra = [name for name in dict.fromkeys(header) if name not in known]
    yield from _missing_problems([name for name in declared if name not in found], extra, file, first)
    yield from _extra_problems(project, extra, file, lines)


def _missing_problems(missing: list[str], extra: list[str], file: str, row: int | None) -> Iterator[Problem]:
    for names in _groups(missing):
        hint = did_you_mean(names[0], extra[:MAX_COMPARED])[:500] if extra else "the file has no other column"
        one = len(names) == 1
        yield Problem(
            code="missing_column",
            file=file,
            row=row,
            column=names[0] if one else None,
            rule="every declared column is present",
            message=f"column {names[0]!r} is missing ({hint})" if one else f"{len(names):,} more columns are missing",
            remedy="Add the column, or rename it as the contract says.",
            count=len(names),
        )


def _groups(names: list[str]) -> list[list[str]]:
    """Return one group per name, the last one holding those that are too many to name."""
    if len(names) <= MAX_NAMED:
        return [[name] for name in names]
    return [*([name] for name in names[: MAX_NAMED - 1]), names[MAX_NAMED - 1 :]]


def _extra_problems(
    project: Project, extra: list[str], file: str, lines: Mapping[str, int] | None
) -> Iterator[Problem]:
    reject = project.data.extra_columns == "reject"
    for names in _groups(extra):
        what = f"column {names[0]!r} is" if len(names) == 1 else f"{len(names):,} more columns are"
        yield Problem(
            code="extra_column",
            severity="error" if reject else "warning",
            file=file,
            row=1 if lines is None else lines[names[0]],
            column=names[0] if len(names) == 1 else None,
            rule="only declared columns are read",
            message=f"{what} not in the contract" + ("" if reject else "; ignored"),
            remedy="Remove it from the file, or declare it in data.columns.",
            count=len(names),
        )
