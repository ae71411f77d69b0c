"""Hold a request to botocore's own service model: types, required members, enums, lengths, ranges, patterns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import botocore.session

from laptop.sagemaker.errors import SageMakerError, invalid

_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str, datetime),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}


@cache
def service_model() -> Any:
    """Return botocore's model of SageMaker; loaded once."""
    return botocore.session.get_session().get_service_model("sagemaker")


def validate(operation: str, request: Mapping[str, Any]) -> None:
    """Raise ValidationException, in SageMaker's words, when the model refuses the request; all errors at once.

    Raises UnknownOperationException when SageMaker has no such operation.
    """
    if operation not in service_model().operation_names:
        raise SageMakerError("UnknownOperationException", f"SageMaker has no operation {operation}")
    shape = service_model().operation_model(operation).input_shape
    errors = shape_errors(shape, request) if shape else []
    if errors:
        count = f"{len(errors)} validation error{'s' if len(errors) > 1 else ''} detected"
        raise invalid(f"{count}: {'; '.join(errors)}")


def shape_errors(shape: Any, value: Any) -> list[str]:
    """Return how a value breaks a shape of any service's model, in the words that AWS's APIs use."""
    return list(_check(shape, value, ""))


def _check(shape: Any, value: Any, path: str) -> Iterator[str]:
    expected = _PYTHON_TYPES.get(shape.type_name)
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean")):
        yield _failed(path, value, f"Member must be of type {shape.type_name}")
        return
    if shape.type_name == "structure":
        yield from _check_structure(shape, value, path)
    elif shape.type_name == "list":
        yield from _check_size(shape, len(value), value, path, "length")
        for index, item in enumerate(value, start=1):
            yield from _check(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "map":
        yield from _check_size(shape, len(value), value, path, "length")
        for key, item in value.items():
            yield from _check(shape.key, key, f"{path}.key")
            yield from _check(shape.value, item, f"{path}.{key}.member")
    elif shape.type_name == "string":
        yield from _check_text(shape, value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _failed(path, value, "Member must be a finite number")
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _check_size(shape, value, value, path, "value")


def _check_structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _failed(_join(path, name), None, "Member must not be null")
    for name, item in value.items():
        if name not in shape.members:
            yield f"Unknown parameter {_join(path, name)!r}; known: {', '.join(sorted(shape.members))}"
        elif item is not None:
            yield from _check(shape.members[name], item, _join(path, name))


def _check_text(shape: Any, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield _failed(path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    yield from _check_size(shape, len(value), value, path, "length")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _failed(path, value, f"Member must satisfy regular expression pattern: {pattern}")


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        # Java writes \p{L} and possessive quantifiers, which Python's re cannot read: such patterns are not checked.
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


def _check_size(shape: Any, size: float, value: Any, path: str, what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _failed(path, value, f"Member must have {what} greater than or equal to {least}")
    if most is not None and size > most:
        yield _failed(path, value, f"Member must have {what} less than or equal to {most}")


def _failed(path: str, value: Any, constraint: str) -> str:
    shown = "null" if value is None else str(value)[:100]
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    """SageMaker writes paths with a lower-case first letter."""
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name
