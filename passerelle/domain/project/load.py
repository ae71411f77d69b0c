"""Read a project.yaml; every problem is named with its line, its field and the remedy, all at once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from passerelle.domain.project.crosscheck import crosscheck
from passerelle.domain.project.findings import Path
from passerelle.domain.project.located import Kind, explain, fail, read_mapping
from passerelle.domain.project.model import Project
from passerelle.errors import ProjectError

_KIND: Final = Kind(
    name="project",
    fields="name, why, data, task, budget …",
    empty="`passerelle init` writes a first project.yaml.",
    error=ProjectError,
)


def load_project(text: str, *, source: str) -> Project:
    """Return the project that a YAML text declares.

    Parameters
    ----------
    text : the file's content.
    source : the file's name, for messages.

    Raises
    ------
    ProjectError : one line per problem, `source:line: field: what is wrong; what would be right`.
    """
    document, node = read_mapping(text, source=source, kind=_KIND)
    try:
        project = Project.model_validate(document)
    except ValidationError as error:
        found = [explain(item, Project) for item in error.errors()]
        fail(source, node, [*found, *_crosscheck_rest(document, error)], _KIND)
    problems = list(crosscheck(project))
    if problems:
        fail(source, node, problems, _KIND)
    return project


def _crosscheck_rest(document: dict[str, Any], error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Yield what does not fit together in the fields that are right, so that one reading tells both."""
    wrong: list[Path] = [tuple(item["loc"]) for item in error.errors()]
    rest = copy.deepcopy(document)
    for path in wrong:
        _leave_out(rest, path)
    try:
        project = Project.model_validate(rest)
    except ValidationError:  # a field that is wrong and cannot be left out
        return
    for path, words in crosscheck(project):
        if not any(path == found[: len(path)] or found == path[: len(found)] for found in wrong):
            yield path, words


def _leave_out(node: Any, path: Path) -> None:
    """Remove the field at a path from a document; of a column whose rules do not fit, name and type stay."""
    step, rest = path[0], path[1:]
    try:
        child = node[step]
    except (KeyError, IndexError, TypeError):
        return
    if rest and isinstance(child, dict | list):
        _leave_out(child, rest)
    elif isinstance(node, dict):
        del node[step]
    elif isinstance(child, dict):
        node[step] = {key: value for key, value in child.items() if key in ("name", "type")}
