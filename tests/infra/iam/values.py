"""What an expression of the code may be, as far as permissions are concerned. Everything else is `Unknown`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

#: In a text: characters that only the running code knows.
ANY: Final = "*"


@dataclass(frozen=True)
class Unknown:
    """Something that is not followed."""


@dataclass(frozen=True)
class Const:
    """None, a number, a truth value, bytes."""

    value: Any


@dataclass(frozen=True)
class Text:
    """A string, with ANY for what is not known of it."""

    text: str


@dataclass(frozen=True)
class Record:
    """A mapping with text keys; one that is not `complete` may hold others, too."""

    items: tuple[tuple[str, Values], ...]
    complete: bool = True

    def get(self, key: str) -> Values:
        """Return what a key may hold."""
        found = [values for name, values in self.items if name == key]
        return join(*found) if found else (NONE if self.complete else UNKNOWN)

    def has(self, key: str) -> bool:
        return any(name == key for name, _ in self.items)


@dataclass(frozen=True)
class Items:
    """A list, set or iterator: any of these values, in any number."""

    values: Values


@dataclass(frozen=True)
class Row:
    """A tuple, place by place."""

    places: tuple[Values, ...]


@dataclass(frozen=True)
class External:
    """Something of the standard library or of a package that is not ours, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Client:
    """A boto3 client."""

    service: str


@dataclass(frozen=True)
class ClientMethod:
    """A method of a boto3 client, or `paginate` of one of its paginators, not called yet."""

    service: str
    name: str


@dataclass(frozen=True)
class Paginator:
    """A paginator or waiter of an operation."""

    service: str
    name: str


@dataclass(frozen=True)
class Module:
    """One of our modules."""

    name: str


@dataclass(eq=False)
class Scope:
    """The names of one evaluation of a function; two scopes are never the same."""

    module: str
    names: dict[str, Values] = field(default_factory=dict)
    outer: Scope | None = None


@dataclass(frozen=True)
class Class:
    """One of our classes."""

    module: str
    node: ast.ClassDef


@dataclass(frozen=True)
class Function:
    """One of our functions with what it closes over, and for a method the object it belongs to."""

    module: str
    node: ast.FunctionDef | ast.Lambda
    scope: Scope | None = None
    owner: Class | None = None
    bound: Value | None = None

    @property
    def name(self) -> str:
        own = self.node.name if isinstance(self.node, ast.FunctionDef) else "<lambda>"
        return f"{self.module}.{self.owner.node.name}.{own}" if self.owner else f"{self.module}.{own}"


@dataclass(frozen=True)
class Instance:
    """An object of one of our classes; what was given to its constructor tells it from others."""

    of: Class
    given: tuple[tuple[str, Values], ...]


@dataclass(frozen=True)
class BuiltinMethod:
    """A method of a text, a record or a list, not called yet."""

    on: Value
    name: str


Value: TypeAlias = (
    Unknown | Const | Text | Record | Items | Row | External | Client | ClientMethod | Paginator | Module | Class
    | Function | Instance | BuiltinMethod
)  # fmt: skip
Values: TypeAlias = frozenset[Value]
UNKNOWN: Final[Values] = frozenset([Unknown()])
NOTHING: Final[Values] = frozenset()
NONE: Final[Values] = frozenset([Const(None)])
#: More alternatives than this are not told apart.
MANY: Final = 24


def join(*parts: Iterable[Value]) -> Values:
    """Return all alternatives."""
    return frozenset(value for part in parts for value in part)


def only(value: Value) -> Values:
    """Return the one alternative."""
    return frozenset([value])


def abstract(value: Any) -> Values:
    """Return what stands for a value of Python: settings, and events as the templates describe them."""
    if isinstance(value, str):
        return only(Text(value))
    if isinstance(value, Mapping):
        return only(Record(tuple((str(key), abstract(item)) for key, item in value.items()), complete=False))
    if isinstance(value, list | tuple):
        return only(Items(join(*(abstract(item) for item in value))))
    return only(Const(value))


def elements(values: Values) -> Values:
    """Return what iterating gives."""
    found: set[Value] = set()
    for value in values:
        if isinstance(value, Items):
            found |= value.values
        elif isinstance(value, Row):
            found |= join(*value.places)
        elif isinstance(value, Record):
            found |= {Text(key) for key, _ in value.items} | (set() if value.complete else {Unknown()})
        else:
            found.add(Unknown())
    return frozenset(found)


def truth(values: Values) -> bool | None:
    """Return whether a condition holds, None when it may or may not."""
    found = {_truth(value) for value in values}
    return found.pop() if len(found) == 1 else None


def _truth(value: Value) -> bool | None:
    if isinstance(value, Const):
        return bool(value.value)
    if isinstance(value, Text):
        return bool(value.text) if ANY not in value.text else None
    if isinstance(value, Client | ClientMethod | Paginator | Module | Class | Function):
        return True
    return None


def texts(values: Values) -> list[str]:
    """Return values as texts, with ANY for what is not known. None is no text: AWS would refuse it."""
    found = sorted({value.text if isinstance(value, Text) else ANY for value in values if value != Const(None)})
    return found if 0 < len(found) <= MANY else [ANY]


def concatenate(parts: Iterable[Values]) -> Values:
    """Return all texts that concatenating gives."""
    found = [""]
    for part in parts:
        found = [before + after for before in found for after in texts(part)]
        if len(found) > MANY:
            return only(Text(ANY))
    return frozenset(Text(_fold(text)) for text in found)


def _fold(text: str) -> str:
    while ANY * 2 in text:
        text = text.replace(ANY * 2, ANY)
    return text
