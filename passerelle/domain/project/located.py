"""YAML that people write: a mapping read by a model, with every problem named by line and field, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, get_args

import yaml
from pydantic import BaseModel

from passerelle.domain.project.findings import Finding, Path, did_you_mean
from passerelle.errors import InputError

#: project.yaml is six levels deep; an alias that contains itself is endless.
MAX_DEPTH: Final = 20


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is read, for messages: its name, its first fields, where a first one comes from, and the error it raises."""

    name: str
    fields: str
    empty: str
    error: type[InputError]


def read_mapping(text: str, *, source: str, kind: Kind) -> tuple[dict[str, Any], yaml.Node]:
    """Return the mapping that a YAML text is, and its nodes, which know their lines.

    Raises
    ------
    InputError : of the kind, one line per problem, `source:line: field: what is wrong; what would be right`.
    """
    node = _compose(text, source, kind)
    duplicates = list(_duplicate_keys(node, (), kind))
    if duplicates:
        fail(source, node, duplicates, kind)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise kind.error(f"{source}: a value cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise kind.error(f"{source}:1: a {kind.name} is a mapping of {kind.fields}, not a {_shape(node)}")
    return document, node


def _compose(text: str, source: str, kind: Kind) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise kind.error(
            f"{source}:{line}: not YAML: {error.problem}. Check indentation, quotes and colons."
        ) from error
    except yaml.YAMLError as error:
        raise kind.error(f"{source}: not YAML: {error}") from error
    if node is None:
        raise kind.error(f"{source}:1: the file is empty. {kind.empty}")
    return node


def _shape(node: yaml.Node) -> str:
    return "list" if isinstance(node, yaml.SequenceNode) else "single value"


def _duplicate_keys(node: yaml.Node, path: Path, kind: Kind) -> Iterator[Finding]:
    if len(path) > MAX_DEPTH:
        raise kind.error(f"{'.'.join(map(str, path[:3]))} …: nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield path, f"line {key.start_mark.line + 1}: a field's name must be a text"
                continue
            if key.value in seen:
                yield (*path, key.value), "is given twice; keep one"
            seen.add(key.value)
            yield from _duplicate_keys(value, (*path, key.value), kind)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicate_keys(item, (*path, index), kind)


def explain(item: Any, model: type[BaseModel]) -> Finding:
    """Turn one pydantic error of a model into (path, words)."""
    path = tuple(item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "missing":
        return path, "is missing"
    if item["type"] == "extra_forbidden":
        return path, f"is not a field here; {did_you_mean(str(path[-1]), _fields_at(path[:-1], model))}"
    got = item.get("input")
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) and repr(got) not in message else ""
    return path, f"{message}{shown}"


def _fields_at(path: Path, model: type[BaseModel]) -> list[str]:
    """Return the field names that a model has at a path."""
    for step in path:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        below = None if field is None else next(_models_in(field.annotation), None)
        if below is None:
            return []
        model = below
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def fail(source: str, node: yaml.Node, problems: Sequence[Finding], kind: Kind) -> NoReturn:
    """Raise the kind's error: one line per problem, in the order of the file's lines."""
    lines = sorted((_line_of(node, path), ".".join(map(str, path)) or kind.name, words) for path, words in problems)
    raise kind.error("\n".join(f"{source}:{line}: {field}: {words}" for line, field, words in lines))


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
