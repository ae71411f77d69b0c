"""Names, attributes and calls: from our own code to the clients of boto3."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from tests.infra.iam.outside import SETTINGS, Arguments, Outside
from tests.infra.iam.values import (
    NOTHING,
    UNKNOWN,
    BuiltinMethod,
    Class,
    Client,
    ClientMethod,
    External,
    Function,
    Instance,
    Items,
    Module,
    Paginator,
    Record,
    Row,
    Scope,
    Text,
    Unknown,
    Value,
    Values,
    join,
    only,
)

#: Attributes of a client that are no calls.
_CLIENT_ATTRIBUTES: Final = ("meta", "exceptions", "close", "can_paginate")
#: Ancestors that call none of an object's methods but those that Python calls.
_PLAIN_KINDS: Final = ("builtins.", "pydantic.", "typing.", "enum.", "abc.")
_DEEPEST: Final = 80


class Resolution(Outside):
    """What names mean, and what calling something does."""

    # In the subclasses

    def evaluate(self, node: ast.expr, scope: Scope) -> Values:
        raise NotImplementedError

    def run_body(self, function: Function, scope: Scope) -> Values:
        raise NotImplementedError

    def bind(self, target: ast.expr, value: Values, scope: Scope) -> None:
        raise NotImplementedError

    def _statement(self, statement: ast.stmt, scope: Scope) -> bool:
        raise NotImplementedError

    # Names

    def file_of(self, module: str) -> str:
        found = self.program.module(module)
        return found.path if found else module

    def name(self, name: str, scope: Scope | None) -> Values:
        """Return what a name means in a scope, in its module, or in Python."""
        inner = scope
        while inner is not None:
            if name in inner.names:
                return inner.names[name]
            module, inner = inner.module, inner.outer
        assert scope is not None
        return self.global_name(module, name)

    def global_name(self, module: str, name: str) -> Values:
        """Return a top-level name of one of our modules."""
        key = (module, name)
        if key not in self._globals:
            source = self.program.module(module)
            if source is None or name not in source.bindings:
                inner = f"{module}.{name}"
                return only(Module(inner) if self.program.module(inner) else External(f"builtins.{name}"))
            self._globals[key] = UNKNOWN  # while it is worked out
            scope, outer = Scope(module), self.calls
            for statement in source.bindings[name]:
                if not isinstance(statement, ast.For | ast.With | ast.If | ast.Try):
                    self._statement(statement, scope)
            self.calls = outer | self.calls
            self._globals[key] = scope.names.get(name, UNKNOWN)
        return self._globals[key]

    def change_global(self, module: str, name: str, changed: Callable[[Values], Values]) -> None:
        """Change a top-level name, where it is one of the module's own."""
        source = self.program.module(module)
        if source and name in source.bindings:
            self._globals[module, name] = changed(self.global_name(module, name))

    def imported(self, module: str, name: str) -> Values:
        """Return what `from module import name` binds."""
        if self.program.module(f"{module}.{name}"):
            return only(Module(f"{module}.{name}"))
        return self.global_name(module, name) if self.program.module(module) else only(External(f"{module}.{name}"))

    def decorated(self, node: ast.FunctionDef, scope: Scope | None, owner: Class | None) -> Values:
        """Return a function as its decorators leave it; those of other packages leave it as it is."""
        module = scope.module if scope else str(owner and owner.module)
        found = only(Function(module, node, scope if scope and scope.outer else None, owner))
        for item in reversed(node.decorator_list):
            ours = [value for value in self.evaluate(item, scope or Scope(module)) if isinstance(value, Function)]
            if ours:
                found = join(*(self.call_function(decorator, (found,), {}) for decorator in ours))
        return found

    # Attributes

    def attribute(self, value: Value, name: str) -> Values:
        """Return an attribute."""
        if isinstance(value, Module):
            return self.imported(value.name, name)
        if isinstance(value, External):
            return only(External(f"{value.name}.{name}"))
        if isinstance(value, Client):
            return only(Unknown() if name in _CLIENT_ATTRIBUTES else ClientMethod(value.service, name))
        if isinstance(value, Paginator):
            return only(ClientMethod(value.service, value.name))
        if isinstance(value, Instance):
            return self._instance_attribute(value, name)
        if isinstance(value, Class) and value.module == SETTINGS and name == "from_env":
            return only(BuiltinMethod(value, name))
        if isinstance(value, Class):
            found = self._class_attribute(value, name, value)
            return UNKNOWN if found is None else found
        if isinstance(value, Text | Record | Items | Row):
            return only(BuiltinMethod(value, name))
        return UNKNOWN

    def _instance_attribute(self, value: Instance, name: str) -> Values:
        known = self.heap.get(value, {})
        if name in known:
            return known[name]
        found = self._class_attribute(value.of, name, value)
        return UNKNOWN if found is None else found

    def _class_attribute(self, class_: Class, name: str, bound: Value) -> Values | None:
        for owner in self._ancestry(class_):
            for item in owner.node.body:
                if isinstance(item, ast.FunctionDef) and item.name == name:
                    return self._method(owner, item, bound)
                if isinstance(item, ast.Assign | ast.AnnAssign) and item.value and name in _targets(item):
                    return self.evaluate(item.value, Scope(owner.module))
        return None

    def _method(self, owner: Class, node: ast.FunctionDef, bound: Value) -> Values:
        marks = {ast.unparse(item).rpartition(".")[2] for item in node.decorator_list}
        if "staticmethod" in marks:
            return only(Function(owner.module, node, None, owner))
        if "classmethod" in marks and isinstance(bound, Instance):
            bound = bound.of
        function = Function(owner.module, node, None, owner, bound)
        if marks & {"property", "cached_property"} and isinstance(bound, Instance):
            return self.call_function(function, (), {})
        return only(function)

    def _ancestry(self, class_: Class) -> list[Class]:
        """Return a class and its ancestors that are ours."""
        found = [class_]
        for base in class_.node.bases:
            node = base.value if isinstance(base, ast.Subscript) else base
            for value in self.evaluate(node, Scope(class_.module)):
                if isinstance(value, Class):
                    found += self._ancestry(value)
        return found

    # Calls

    def call(
        self, called: Value, positional: tuple[Values, ...], named: Arguments, *, all_known: bool, place: str
    ) -> Values:
        """Return what a call gives, and remember the calls of AWS that it makes."""
        if isinstance(called, Function):
            return self.call_function(called, positional, named)
        if isinstance(called, Class):
            return self._construct(called, positional, named)
        if isinstance(called, ClientMethod):
            return self._call_client(called, positional, named, all_known)
        if isinstance(called, BuiltinMethod):
            return self._call_builtin_method(called, positional, named, place)
        if isinstance(called, Instance):
            return self.call_special(called, "__call__", positional, named)
        if isinstance(called, External):
            made = self._make_client(called.name, positional, named, place)
            if made is not None:
                return made
            return self._call_external(called.name, positional, named, place)
        self._pass_on("an unknown function", (*positional, *named.values()), place)
        return UNKNOWN

    def call_function(self, function: Function, positional: tuple[Values, ...], named: Arguments) -> Values:
        """Return what one of our functions gives; the same call is worked out once."""
        arguments = self._arguments(function, positional, named)
        key = (function, tuple(sorted(arguments.items(), key=lambda item: item[0])))
        if key in self._working or len(self._working) > _DEEPEST:
            return NOTHING if key in self._working else UNKNOWN
        if key not in self._memo:
            self._working.add(key)
            outer, self.calls = self.calls, set()
            try:
                scope = Scope(function.module, dict(arguments), function.scope or Scope(function.module))
                value = self.run_body(function, scope)
                self._memo[key] = (value, frozenset(call.on_behalf_of(function.name) for call in self.calls))
            finally:
                self.calls = outer
                self._working.discard(key)
        value, calls = self._memo[key]
        self.calls |= calls
        return value

    def _arguments(self, function: Function, positional: tuple[Values, ...], named: Arguments) -> dict[str, Values]:
        parameters = function.node.args
        names = [item.arg for item in (*parameters.posonlyargs, *parameters.args)]
        given = (*((only(function.bound),) if function.bound is not None else ()), *positional)
        found = dict(zip(names, given, strict=False))
        defaults = dict(zip(reversed(names), reversed(parameters.defaults), strict=False))
        defaults |= {
            item.arg: default
            for item, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
            if default is not None
        }
        every = [*names, *(item.arg for item in parameters.kwonlyargs)]
        for name in every:
            if name in named:
                found[name] = named[name]
            elif name not in found:
                home = function.scope or Scope(function.module)
                found[name] = self.evaluate(defaults[name], home) if name in defaults else UNKNOWN
        if parameters.vararg:
            found[parameters.vararg.arg] = only(Items(join(*given[len(names) :])))
        if parameters.kwarg:
            rest = tuple((name, values) for name, values in named.items() if name not in every)
            found[parameters.kwarg.arg] = only(Record(rest, complete=False))
        return found

    def _construct(self, class_: Class, positional: tuple[Values, ...], named: Arguments) -> Values:
        fields = self._fields(class_)
        given = {**dict(zip(fields, positional, strict=False)), **named}
        instance = Instance(class_, tuple(sorted((*given.items(), *_numbered(positional)), key=lambda item: item[0])))
        made = self._class_attribute(class_, "__init__", instance)
        if made is None:
            self.heap.setdefault(instance, dict(given))
        for function in made or ():
            if isinstance(function, Function):
                self.call_function(function, positional, named)
        return only(instance)

    def call_special(
        self, value: Instance, name: str, positional: tuple[Values, ...] = (), named: Arguments | None = None
    ) -> Values:
        """Call a method that Python calls itself, such as `__enter__`; an object without it gives UNKNOWN."""
        found = self._class_attribute(value.of, name, value) or NOTHING
        functions = [function for function in found if isinstance(function, Function)]
        return join(*(self.call_function(function, positional, named or {}) for function in functions)) or UNKNOWN

    def call_overrides(self, value: Instance) -> None:
        """Code that is not ours may call the methods by which an object is one of its own kind (`io.RawIOBase`)."""
        for owner in self._ancestry(value.of):
            kinds = join(*(self.evaluate(base, Scope(owner.module)) for base in owner.node.bases))
            if any(isinstance(kind, External) and not kind.name.startswith(_PLAIN_KINDS) for kind in kinds):
                for item in owner.node.body:
                    if isinstance(item, ast.FunctionDef) and item.name != "__init__":
                        self.call_special(value, item.name)

    def inherited(self, values: Values, name: str) -> Values:
        """Return what `super().name` is, for these objects."""
        owners = [value for value in values if isinstance(value, Instance)]
        parents = [(value, parent) for value in owners for parent in self._ancestry(value.of)[1:]]
        return join(*(self._class_attribute(parent, name, value) or NOTHING for value, parent in parents)) or UNKNOWN

    def _fields(self, class_: Class) -> list[str]:
        """Return the fields of a dataclass or model, in the order of its constructor."""
        found: list[str] = []
        for owner in reversed(self._ancestry(class_)):
            found += [name for item in owner.node.body if isinstance(item, ast.AnnAssign) for name in _targets(item)]
        return list(dict.fromkeys(found))


def _numbered(positional: tuple[Values, ...]) -> list[tuple[str, Values]]:
    return [(str(number), values) for number, values in enumerate(positional)]


def _targets(item: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = item.targets if isinstance(item, ast.Assign) else [item.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
