"""Read a project.yaml; every problem is named with its line, its field and the remedy, all at once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from passerelle.domain.project.crosscheck import crosscheck
from passerelle.domain.project.findings import Path, did_you_mean
from passerelle.domain.project.model import Project
from passerelle.errors import ProjectError

#: project.yaml is six levels deep; an alias that contains itself is endless.
MAX_DEPTH = 20


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
    node = _compose(text, source)
    duplicates = list(_duplicate_keys(node, ()))
    if duplicates:
        _fail(source, node, duplicates)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ProjectError(f"{source}: a value cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ProjectError(
            f"{source}:1: a project is a mapping of name, why, data, task, budget …, not a {_kind(node)}"
        )
    try:
        project = Project.model_validate(document)
    except ValidationError as error:
        _fail(source, node, [*(_explain(item) for item in error.errors()), *_crosscheck_rest(document, error)])
    problems = list(crosscheck(project))
    if problems:
        _fail(source, node, problems)
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


def _compose(text: str, source: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProjectError(
            f"{source}:{line}: not YAML: {error.problem}. Check indentation, quotes and colons."
        ) from error
    except yaml.YAMLError as error:
        raise ProjectError(f"{source}: not YAML: {error}") from error
    if node is None:
        raise ProjectError(f"{source}:1: the file is empty. `passerelle init` writes a first project.yaml.")
    return node


def _kind(node: yaml.Node) -> str:
    return "list" if isinstance(node, yaml.SequenceNode) else "single value"


def _duplicate_keys(node: yaml.Node, path: Path) -> Iterator[tuple[Path, str]]:
    if len(path) > MAX_DEPTH:
        raise ProjectError(f"{'.'.join(map(str, path[:3]))} …: nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield path, f"line {key.start_mark.line + 1}: a field's name must be a text"
                continue
            if key.value in seen:
                yield (*path, key.value), "is given twice; keep one"
            seen.add(key.value)
            yield from _duplicate_keys(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicate_keys(item, (*path, index))


def _explain(item: Any) -> tuple[Path, str]:
    """Turn one pydantic error into (path, words)."""
    path = tuple(item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "missing":
        return path, "is missing"
    if item["type"] == "extra_forbidden":
        return path, f"is not a field here; {did_you_mean(str(path[-1]), _fields_at(path[:-1]))}"
    got = item.get("input")
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) and repr(got) not in message else ""
    return path, f"{message}{shown}"


def _fields_at(path: Path) -> list[str]:
    """Return the field names that the model has at a path."""
    model: Any = Project
    for step in path:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        if field is None:
            return []
        model = next(_models_in(field.annotation), None)
        if model is None:
            return []
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _fail(source: str, node: yaml.Node, problems: list[tuple[Path, str]]) -> Any:
    lines = sorted((_line_of(node, path), ".".join(map(str, path)) or "project", words) for path, words in problems)
    raise ProjectError("\n".join(f"{source}:{line}: {field}: {words}" for line, field, words in lines))


def _line_of(node: yaml.Node, path: Path) -> int:
    """Return the line of a path, or of the deepest part of it that exists."""
    line = node.start_mark.line
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        line, node = child
    return line + 1


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        # The last of duplicate keys is the one that surprises.
        found = [(key.start_mark.line, value) for key, value in node.value if key.value == step]
        return found[-1] if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
