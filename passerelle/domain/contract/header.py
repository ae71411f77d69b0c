"""Compare a file's columns with the contract's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from passerelle.contracts.container import Problem
from passerelle.domain.project import Project
from passerelle.domain.project.crosscheck import did_you_mean


def header_problems(project: Project, header: list[str], *, file: str) -> Iterator[Problem]:
    """Yield what is wrong with the names in a file's header; the order of columns is free."""
    declared = [column.name for column in project.data.columns]
    for name, count in Counter(header).items():
        if count > 1:
            yield Problem(
                code="duplicate_column",
                file=file,
                row=1,
                column=name,
                rule="column names are unique",
                message=f"column {name!r} appears {count} times in the header",
                remedy="Rename or remove the repeated column.",
            )
    extra = [name for name in header if name not in declared]
    for name in declared:
        if name not in header:
            hint = did_you_mean(name, extra) if extra else "the file has no other column"
            yield Problem(
                code="missing_column",
                file=file,
                row=1,
                column=name,
                rule="every declared column is present",
                message=f"column {name!r} is missing ({hint})",
                remedy="Add the column, or rename it as the contract says.",
            )
    for name in dict.fromkeys(extra):
        yield Problem(
            code="extra_column",
            severity="error" if project.data.extra_columns == "reject" else "warning",
            file=file,
            row=1,
            column=name,
            rule="only declared columns are read",
            message=f"column {name!r} is not in the contract"
            + ("" if project.data.extra_columns == "reject" else "; it is ignored"),
            remedy="Remove it from the file, or declare it in data.columns.",
        )
