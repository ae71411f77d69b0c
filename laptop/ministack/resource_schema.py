"""Check a resource's properties against CloudFormation's own schema of its type, which cfn-lint carries.

Values of templates arrive resolved, often as text: like CloudFormation, "5" is taken for a number and "true" for a
boolean. Keywords that cfn-lint adds for its own rules are not read; every other is checked at every depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

_NAMES: Final = {dict: "object", list: "array", bool: "boolean", int: "integer", float: "number", str: "string"}


@cache
def schema_of(type_: str) -> dict[str, Any]:
    """Return CloudFormation's schema of a resource type."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
    assert isinstance(schema, dict)
    return schema


def check_properties(type_: str, properties: Mapping[str, Any]) -> None:
    """Raise ValueError, which fails the stack, with every property that is wrong, missing or unknown."""
    schema = schema_of(type_)
    top: dict[str, Any] = {
        key: schema[key] for key in ("properties", "required", "anyOf", "oneOf", "allOf") if key in schema
    }
    top |= {"type": "object", "additionalProperties": False}
    problems = list(_problems(top, dict(properties), "", schema))
    if problems:
        raise ValueError(f"{type_} has wrong properties: {'; '.join(problems)}")


def _problems(schema: Mapping[str, Any], value: Any, path: str, root: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = _resolved(str(schema["$ref"]), root) | {key: schema[key] for key in schema if key != "$ref"}
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        yield f"{path or 'the resource'} must be {' or '.join(kinds)}, not {_NAMES.get(type(value), 'null')}"
        return
    yield from _alternatives(schema, value, path, root)
    if isinstance(value, Mapping):
        yield from _of_object(schema, value, path, root)
    elif isinstance(value, list):
        yield from _of_array(schema, value, path, root)
    else:
        yield from _of_scalar(schema, value, path)


def _resolved(reference: str, root: Mapping[str, Any]) -> dict[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _is_a(value: Any, kind: str) -> bool:
    text = str(value)
    if kind == "boolean":
        return isinstance(value, bool) or text in ("true", "false")
    if kind in ("integer", "number"):
        pattern = r"-?\d+" if kind == "integer" else r"-?\d+(\.\d*)?([eE][-+]?\d+)?"
        return not isinstance(value, bool | list | Mapping) and re.fullmatch(pattern, text) is not None
    if kind == "string":
        return isinstance(value, str | int | float)
    return isinstance(value, {"object": Mapping, "array": list}.get(kind, type(None)))


def _alternatives(schema: Mapping[str, Any], value: Any, path: str, root: Mapping[str, Any]) -> Iterator[str]:
    for part in schema.get("allOf", ()):
        yield from _problems(part, value, path, root)
    for keyword in ("anyOf", "oneOf"):
        found = [list(_problems(part, value, path, root)) for part in schema.get(keyword, ())]
        if found and all(found):
            yield f"{path or 'the resource'} fits none of its {len(found)} forms ({min(found, key=len)[0]})"


def _of_object(
    schema: Mapping[str, Any], value: Mapping[str, Any], path: str, root: Mapping[str, Any]
) -> Iterator[str]:
    known: Mapping[str, Any] = schema.get("properties", {})
    patterns: Mapping[str, Any] = schema.get("patternProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{_join(path, name)} is missing"
    for name, item in value.items():
        fitting = [known[name]] if name in known else [part for key, part in patterns.items() if re.search(key, name)]
        for part in fitting:
            yield from _problems(part, item, _join(path, name), root)
        if not fitting and schema.get("additionalProperties") is False:
            yield f"{_join(path, name)} is unknown (known: {', '.join(sorted(known))})"


def _of_array(schema: Mapping[str, Any], value: list[Any], path: str, root: Mapping[str, Any]) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{path} has {len(value)} items, but needs {schema['minItems']}"
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{path} has {len(value)} items, but may have {schema['maxItems']}"
    for number, item in enumerate(value):
        if "items" in schema:
            yield from _problems(schema["items"], item, f"{path}[{number}]", root)


def _of_scalar(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    allowed = [str(item) for item in schema.get("enum", ())]
    if allowed and text not in allowed:
        yield f"{path} is {text!r}, but must be one of {', '.join(allowed)}"
    if "pattern" in schema and isinstance(value, str) and not _matches(schema["pattern"], text):
        yield f"{path} is {text!r}, which does not match {schema['pattern']}"
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        yield f"{path} has {len(text)} characters, outside of {schema.get('minLength')} to {schema.get('maxLength')}"
    if ("minimum" in schema or "maximum" in schema) and _is_a(value, "number"):
        number = float(value)
        if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
            yield f"{path} is {text}, outside of {schema.get('minimum')} to {schema.get('maximum')}"


def _matches(pattern: str, text: str) -> bool:
    """The patterns are ECMAScript's; one that Python does not know is not checked."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
