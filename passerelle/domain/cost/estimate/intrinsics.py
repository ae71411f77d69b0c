"""CloudFormation's functions, as far as they can be known without an account. What cannot be is `Unknown`, with why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_VARIABLE: Final = re.compile(r"\$\{([^!${}][^${}]*)\}")
_DNS: Final = {"cn": "amazonaws.com.cn", "us-gov": "amazonaws.com"}
#: Longer chains of parameters and conditions are taken for circles.
MAX_DEPTH: Final = 60


@dataclass(frozen=True)
class Unknown:
    """A value that only a deployment knows; `why` names the function and what it asks for."""

    why: str


class Reference(str):
    """What names a resource until it exists: `${LogicalId}` or `${LogicalId.Attribute}`."""

    __slots__ = ()

    @property
    def logical_id(self) -> str:
        """Return the resource's logical id."""
        return self[2:-1].split(".")[0]


class Absent:
    """AWS::NoValue: a property that is left out."""


NO_VALUE: Final = Absent()


@dataclass
class Scope:
    """What a template's functions look up. `imports` and `outputs` are those of the other stacks of the deployment."""

    region: str
    stack: str
    resources: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    imports: Mapping[str, Any] = field(default_factory=dict)
    account: str | None = None
    _known: dict[str, bool | Unknown] = field(default_factory=dict)

    def condition(self, name: str, depth: int = 0) -> bool | Unknown:
        """Return whether a condition holds."""
        if name not in self._known:
            if name not in self.conditions:
                return Unknown(f"condition {name} does not exist")
            value = _resolve(self.conditions[name], self, depth + 1)
            self._known[name] = value if isinstance(value, bool | Unknown) else str(value).lower() == "true"
        return self._known[name]


def resolve(value: Any, scope: Scope) -> Any:
    """Return a value with its functions applied."""
    return _resolve(value, scope, 0)


def _resolve(value: Any, scope: Scope, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return Unknown("functions that go in a circle, or too deep")
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](argument, scope, depth + 1)
            if isinstance(name, str) and name.startswith("Fn::"):
                return Unknown(f"{name} is not known here")
        found = {key: _resolve(item, scope, depth + 1) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not NO_VALUE}
    if isinstance(value, list):
        items = [_resolve(item, scope, depth + 1) for item in value]
        return [item for item in items if item is not NO_VALUE]
    return value


def _ref(name: Any, scope: Scope, depth: int) -> Any:
    if not isinstance(name, str):
        return Unknown(f"Ref {name!r} is no name")
    if name == "AWS::NoValue":
        return NO_VALUE
    if name in scope.resources:
        return Reference(f"${{{name}}}")
    pseudo = _pseudo(name, scope)
    if pseudo is not None:
        return pseudo
    if name in scope.parameters:
        return scope.parameters[name]
    return Unknown(f"Ref {name}: neither a parameter nor a resource of this template")


def _pseudo(name: str, scope: Scope) -> Any:
    partition = next((f"aws-{part}" for part in ("cn", "us-gov") if scope.region.startswith(part)), "aws")
    known = {
        "AWS::Region": scope.region,
        "AWS::StackName": scope.stack,
        "AWS::Partition": partition,
        "AWS::URLSuffix": _DNS.get(partition.removeprefix("aws-"), "amazonaws.com"),
        "AWS::AccountId": scope.account or Unknown("AWS::AccountId: only a deployment knows the account"),
        "AWS::StackId": Unknown("AWS::StackId: only a deployment knows it"),
        "AWS::NotificationARNs": Unknown("AWS::NotificationARNs: only a deployment knows them"),
    }
    return known.get(name)


def _get_att(argument: Any, scope: Scope, depth: int) -> Any:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if isinstance(parts, list) and len(parts) == 2 and isinstance(parts[1], str):
        return Reference(f"${{{parts[0]}.{parts[1]}}}")
    return Unknown(f"Fn::GetAtt of {argument}")


def _join(argument: Any, scope: Scope, depth: int) -> Any:
    if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
        return Unknown("Fn::Join takes a separator and a list")
    items = _resolve(argument[1], scope, depth)
    if isinstance(items, Unknown):
        return items
    if not isinstance(items, list):
        return Unknown("Fn::Join takes a separator and a list")
    unknown = next((item for item in items if isinstance(item, Unknown)), None)
    return unknown or argument[0].join(str(item) for item in items)


def _sub(argument: Any, scope: Scope, depth: int) -> Any:
    text, given = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})
    if not isinstance(text, str) or not isinstance(given, dict):
        return Unknown("Fn::Sub takes a text, or a text and variables")
    unknown: list[Unknown] = []

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        if name in given:
            value = _resolve(given[name], scope, depth)
        elif "." in name:
            value = _get_att(name, scope, depth)
        else:
            value = _ref(name, scope, depth)
        if isinstance(value, Unknown):
            unknown.append(value)
        return str(value)

    told = _VARIABLE.sub(replaced, text).replace("${!", "${")
    return unknown[0] if unknown else told


def _if(argument: Any, scope: Scope, depth: int) -> Any:
    if not isinstance(argument, list) or len(argument) != 3:
        return Unknown("Fn::If takes a condition and two values")
    chosen = scope.condition(str(argument[0]), depth)
    return chosen if isinstance(chosen, Unknown) else _resolve(argument[1 if chosen else 2], scope, depth)


def _find_in_map(argument: Any, scope: Scope, depth: int) -> Any:
    keys = _resolve(argument, scope, depth)
    if not isinstance(keys, list) or len(keys) < 3 or any(isinstance(key, Unknown) for key in keys[:3]):
        return Unknown(f"Fn::FindInMap {argument}: a key is not known")
    found: Any = scope.mappings
    for key in map(str, keys[:3]):
        if not isinstance(found, Mapping) or key not in found:
            default = keys[3].get("DefaultValue") if len(keys) > 3 and isinstance(keys[3], dict) else None
            return Unknown(f"Fn::FindInMap: no {' → '.join(map(str, keys[:3]))}") if default is None else default
        found = found[key]
    return found


def _select(argument: Any, scope: Scope, depth: int) -> Any:
    value = _resolve(argument, scope, depth)
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], list):
        return next((item for item in value if isinstance(item, Unknown)), Unknown("Fn::Select")) if isinstance(
            value, list
        ) else Unknown("Fn::Select takes an index and a list")  # fmt: skip
    try:
        return value[1][int(value[0])]
    except (ValueError, TypeError, IndexError):
        return Unknown(f"Fn::Select: no item {value[0]}")


def _split(argument: Any, scope: Scope, depth: int) -> Any:
    value = _resolve(argument, scope, depth)
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return Unknown("Fn::Split takes a separator and a text")
    if isinstance(value[1], Reference) or not isinstance(value[1], str):
        return value[1] if isinstance(value[1], Unknown) else Unknown(f"Fn::Split of {value[1]}")
    return value[1].split(value[0]) if value[0] else Unknown("Fn::Split takes a separator and a text")


def _import(argument: Any, scope: Scope, depth: int) -> Any:
    name = _resolve(argument, scope, depth)
    return scope.imports.get(name, Unknown(f"Fn::ImportValue {name}: no such export here")) if isinstance(
        name, str
    ) else Unknown("Fn::ImportValue of a name that is not known")  # fmt: skip


def _length(argument: Any, scope: Scope, depth: int) -> Any:
    value = _resolve(argument, scope, depth)
    return len(value) if isinstance(value, list) else Unknown("Fn::Length takes a list")


def _to_json(argument: Any, scope: Scope, depth: int) -> Any:
    value = _resolve(argument, scope, depth)
    return value if isinstance(value, Unknown) else json.dumps(value, default=str)


def _equals(argument: Any, scope: Scope, depth: int) -> Any:
    pair = _resolve(argument, scope, depth)
    if not isinstance(pair, list) or len(pair) != 2:
        return Unknown("Fn::Equals takes two values")
    unknown = next((item for item in pair if isinstance(item, Unknown | Reference)), None)
    return str(pair[0]) == str(pair[1]) if unknown is None else Unknown(f"Fn::Equals of {unknown}")


def _truths(argument: Any, scope: Scope, depth: int) -> Sequence[Any]:
    return [_resolve(item, scope, depth) for item in argument] if isinstance(argument, list) else [argument]


def _and(argument: Any, scope: Scope, depth: int) -> Any:
    values = _truths(argument, scope, depth)
    return False if False in values else next((item for item in values if item is not True), True)


def _or(argument: Any, scope: Scope, depth: int) -> Any:
    values = _truths(argument, scope, depth)
    return True if True in values else next((item for item in values if item is not False), False)


def _not(argument: Any, scope: Scope, depth: int) -> Any:
    (value, *_) = _truths(argument, scope, depth) or [Unknown("Fn::Not of nothing")]
    return not value if isinstance(value, bool) else value


def _named_condition(argument: Any, scope: Scope, depth: int) -> Any:
    # A policy's statement also has a key of this name, with a mapping.
    if not isinstance(argument, str):
        return {"Condition": _resolve(argument, scope, depth)}
    return scope.condition(argument, depth)


def _same(argument: Any, scope: Scope, depth: int) -> Any:
    return _resolve(argument, scope, depth)


def _unknown(name: str) -> Callable[[Any, Scope, int], Any]:
    return lambda argument, scope, depth: Unknown(f"{name} {argument}: only a deployment knows it")


_FUNCTIONS: Final[dict[str, Callable[[Any, Scope, int], Any]]] = {
    "Ref": _ref,
    "Condition": _named_condition,
    "Fn::GetAtt": _get_att,
    "Fn::Join": _join,
    "Fn::Sub": _sub,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::ImportValue": _import,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json,
    "Fn::Equals": _equals,
    "Fn::And": _and,
    "Fn::Or": _or,
    "Fn::Not": _not,
    "Fn::Base64": _same,
    "Fn::GetAZs": _unknown("Fn::GetAZs"),
    "Fn::Cidr": _unknown("Fn::Cidr"),
    "Fn::GetStackOutput": _unknown("Fn::GetStackOutput"),
    "Fn::Transform": _unknown("Fn::Transform"),
}
