"""Parameters as AWS's SDK for Java writes them, which Step Functions' and Scheduler's SDK integrations expect.

Step Functions developer guide, "AWS SDK service integrations": "parameters are in PascalCase"; Scheduler user guide,
"Universal targets". Both are the SDK for Java 2's names with a capital letter: RDS's DBInstanceIdentifier is its
`dbInstanceIdentifier`, so it is DbInstanceIdentifier here; ECS's `desiredCount` is DesiredCount.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from tests.infra.requests.judge import operation_model


def sdk_name(member: str) -> str:
    """Return what a member of an API's model is called there (codegen's `unCapitalize`, then a capital)."""
    lower = member[0].lower()
    position = 1
    while position < len(member) and member[position].isupper() and not member[position + 1 : position + 2].islower():
        lower += member[position].lower()
        position += 1
    name = lower + member[position:]
    return name[0].upper() + name[1:]


def to_api(service: str, operation: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the request with the API's own names, and what is wrong with the names that were written."""
    problems: list[str] = []
    shape = operation_model(service, operation).input_shape
    if shape is None:
        return dict(arguments), problems
    request = _renamed(shape, arguments, "", problems)
    return dict(request), problems


def _renamed(shape: Shape, value: Any, path: str, problems: list[str]) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        known = {sdk_name(member): member for member in shape.members}
        found = {}
        for name, item in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name not in known:
                alike = [other for other in known if other.lower() == name.lower()]
                problems.append(f"{where}: no such parameter; {_hint(alike, known)}")
                continue
            found[known[name]] = _renamed(shape.members[known[name]], item, where, problems)
        return found
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_renamed(shape.member, item, f"{path}[{number}]", problems) for number, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: _renamed(shape.value, item, f"{path}.{key}", problems) for key, item in value.items()}
    return value


def _hint(alike: list[str], known: Mapping[str, str]) -> str:
    return f"write {alike[0]}" if alike else f"known: {', '.join(sorted(known))}"
