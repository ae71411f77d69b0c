"""Follow our code from an entry, with abstract values, through every branch that the values do not rule out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from tests.infra.iam.calls import AnalysisError, ApiCall
from tests.infra.iam.expressions import Expressions
from tests.infra.iam.program import Program
from tests.infra.iam.values import (
    ANY,
    NOTHING,
    UNKNOWN,
    Class,
    Const,
    External,
    Function,
    Instance,
    Items,
    Module,
    Record,
    Row,
    Scope,
    Text,
    Unknown,
    Value,
    Values,
    elements,
    join,
    only,
    truth,
)

#: Names of errors whose handlers tell "it is gone" from "it is forbidden".
GONE: Final = ("NotFoundError",)
Named = tuple[tuple[str, Values], ...]
Texts = tuple[tuple[str, str], ...]


class Interpreter(Expressions):
    """Statements. One interpreter follows one entry."""

    def follow(self, function: Values, arguments: Mapping[str, Values]) -> set[ApiCall]:
        """Return every call of AWS that calling a function may make.

        It is evaluated until nothing new is learned of objects: their attributes may be set after their first use.
        """
        for _ in range(3):
            self._memo.clear()
            self.calls = set()
            for value in function:
                if not isinstance(value, Function):
                    raise AnalysisError(f"{value} is no function of ours: nothing can be proved of it")
                self.call_function(value, (), dict(arguments))
        return self.calls

    def run_body(self, function: Function, scope: Scope) -> Values:
        """Return what a function returns; a generator returns an iterator."""
        if isinstance(function.node, ast.Lambda):
            return self.evaluate(function.node.body, scope)
        outer, self._returned, self._yielded = (self._returned, self._yielded), set(), set()
        try:
            self._block(function.node.body, scope)
            if _is_generator(function.node):
                return only(Items(frozenset(self._yielded)))
            return frozenset(self._returned) or only(Const(None))
        finally:
            self._returned, self._yielded = outer

    def _block(self, body: Iterable[ast.stmt], scope: Scope) -> bool:
        """Execute statements; returns whether the rest of the function cannot be reached from here."""
        return any(self._statement(statement, scope) for statement in body)

    def _statement(self, statement: ast.stmt, scope: Scope) -> bool:
        method = getattr(self, f"_do_{type(statement).__name__.lower()}", None)
        if method is None:
            raise AnalysisError(f"{scope.module}:{statement.lineno}: {type(statement).__name__} is not followed")
        return bool(method(statement, scope))

    # Simple statements

    def _do_expr(self, statement: ast.Expr, scope: Scope) -> None:
        self.evaluate(statement.value, scope)

    def _do_pass(self, statement: ast.Pass, scope: Scope) -> None:
        pass

    def _do_global(self, statement: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        raise AnalysisError(f"{scope.module}:{statement.lineno}: names of an outer scope that change are not followed")

    _do_nonlocal = _do_global

    def _do_return(self, statement: ast.Return, scope: Scope) -> bool:
        self._returned |= self.evaluate(statement.value, scope) if statement.value else only(Const(None))
        return True

    def _do_raise(self, statement: ast.Raise, scope: Scope) -> bool:
        if statement.exc:
            self.evaluate(statement.exc, scope)
        return True

    def _do_break(self, statement: ast.stmt, scope: Scope) -> bool:
        return True

    _do_continue = _do_break

    def _do_assert(self, statement: ast.Assert, scope: Scope) -> None:
        self.evaluate(statement.test, scope)

    def _do_delete(self, statement: ast.Delete, scope: Scope) -> None:
        pass

    def _do_assign(self, statement: ast.Assign, scope: Scope) -> None:
        value = self.evaluate(statement.value, scope)
        for target in statement.targets:
            self.bind(target, value, scope)

    def _do_annassign(self, statement: ast.AnnAssign, scope: Scope) -> None:
        if statement.value:
            self.bind(statement.target, self.evaluate(statement.value, scope), scope)

    def _do_augassign(self, statement: ast.AugAssign, scope: Scope) -> None:
        both = ast.copy_location(ast.BinOp(_as_load(statement.target), statement.op, statement.value), statement)
        self.bind(statement.target, self.evaluate(both, scope), scope)

    def _do_import(self, statement: ast.Import, scope: Scope) -> None:
        for alias in statement.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            value = Module(name) if self.program.module(name) else External(name)
            scope.names[alias.asname or name] = only(value)

    def _do_importfrom(self, statement: ast.ImportFrom, scope: Scope) -> None:
        for alias in statement.names:
            scope.names[alias.asname or alias.name] = self.imported(str(statement.module), alias.name)

    def _do_functiondef(self, statement: ast.FunctionDef, scope: Scope) -> None:
        scope.names[statement.name] = self.decorated(statement, scope, None)

    def _do_classdef(self, statement: ast.ClassDef, scope: Scope) -> None:
        scope.names[statement.name] = only(Class(scope.module, statement))

    # Branches: all are taken that the condition does not rule out

    def _do_if(self, statement: ast.If, scope: Scope) -> bool:
        holds = truth(self.evaluate(statement.test, scope))
        if holds is not None:
            return self._block(statement.body if holds else statement.orelse, scope)
        before = dict(scope.names)
        left = self._block(statement.body, scope)
        after, scope.names = scope.names, before
        left_else = self._block(statement.orelse, scope)
        if left and left_else:
            return True
        if left_else:
            scope.names = after
        elif not left:
            scope.names = _merged(after, scope.names)
        return False

    def _do_match(self, statement: ast.Match, scope: Scope) -> bool:
        """All cases may be the one, and where the last one does not take everything, none may be."""
        subject, before = self.evaluate(statement.subject, scope), dict(scope.names)
        after, left = list[dict[str, Values]](), True
        for case in statement.cases:
            scope.names = dict(before)
            for name in _captured(case.pattern):
                scope.names[name] = subject if name == getattr(case.pattern, "name", None) else UNKNOWN
            if case.guard:
                self.evaluate(case.guard, scope)
            if not self._block(case.body, scope):
                after, left = [*after, scope.names], False
        if not any(_is_whole(case.pattern) and case.guard is None for case in statement.cases):
            after, left = [*after, before], False
        scope.names = before
        for names in after:
            scope.names = _merged(scope.names, names) if scope.names is not before else names
        return left

    def _do_for(self, statement: ast.For, scope: Scope) -> None:
        items = self.iterated(self.evaluate(statement.iter, scope))
        for _ in range(2):
            before = dict(scope.names)
            self.bind(statement.target, items, scope)
            self._block(statement.body, scope)
            scope.names = _merged(before, scope.names)
        self._block(statement.orelse, scope)

    def _do_while(self, statement: ast.While, scope: Scope) -> None:
        for _ in range(2):
            before = dict(scope.names)
            self.evaluate(statement.test, scope)
            self._block(statement.body, scope)
            scope.names = _merged(before, scope.names)

    def _do_with(self, statement: ast.With, scope: Scope) -> bool:
        for item in statement.items:
            value = self.evaluate(item.context_expr, scope)
            entered = join(*map(self._entered, value))
            if item.optional_vars:
                self.bind(item.optional_vars, entered, scope)
        return self._block(statement.body, scope)

    def _entered(self, value: Value) -> Values:
        """Return what `with value as name` binds."""
        if isinstance(value, Instance):
            self.call_special(value, "__exit__")
            return self.call_special(value, "__enter__")
        return value.values if isinstance(value, Items) else UNKNOWN

    def _do_try(self, statement: ast.Try, scope: Scope) -> bool:
        outer, self.calls = self.calls, set()
        before = dict(scope.names)
        left = self._block(statement.body, scope)
        inside, self.calls = self.calls, outer
        if any(name in GONE for handler in statement.handlers for name in _caught(handler)):
            inside = {replace(call, gone=True) for call in inside}
        self.calls |= inside
        if not left:
            left = self._block(statement.orelse, scope)
        after = scope.names
        for handler in statement.handlers:
            scope.names = _merged(before, after)
            if handler.name:
                scope.names[handler.name] = UNKNOWN
            if not self._block(handler.body, scope):
                after, left = _merged(after, scope.names) if not left else scope.names, False
        scope.names = after
        return self._block(statement.finalbody, scope) or left

    # Targets

    def bind(self, target: ast.expr, value: Values, scope: Scope) -> None:
        """Give a name, an attribute or the places of a tuple their values; an element of a container gets none."""
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, ast.Attribute):
            for owner in self.evaluate(target.value, scope):
                if isinstance(owner, Instance):
                    attributes = self.heap.setdefault(owner, {})
                    attributes[target.attr] = attributes.get(target.attr, NOTHING) | value
        elif isinstance(target, ast.Tuple | ast.List):
            for number, place in enumerate(target.elts):
                inner = place.value if isinstance(place, ast.Starred) else place
                self.bind(inner, join(*(_place(item, number, place) for item in value)), scope)
        elif isinstance(target, ast.Subscript):
            self._bind_element(target, value, scope)

    def _bind_element(self, target: ast.Subscript, value: Values, scope: Scope) -> None:
        """`request["Key"] = value` makes another record of the same name."""
        keys = [key.text for key in self.evaluate(target.slice, scope) if isinstance(key, Text) and ANY not in key.text]
        addition = Record(tuple((key, value) for key in keys), complete=bool(keys))
        self.change_records(target.value, addition, scope)


@cache
def calls_of(
    program: Program,
    module: str,
    name: str,
    arguments: Named = (),
    *,
    environ: Texts = (),
    parameters: Texts = (),
) -> frozenset[ApiCall]:
    """Return every call of AWS that a function of a module may make; the same question is answered once."""
    interpreter = Interpreter(program, dict(environ), parameters=dict(parameters))
    return frozenset(interpreter.follow(interpreter.global_name(module, name), dict(arguments)))


def _place(value: object, number: int, target: ast.expr) -> Values:
    if isinstance(value, Row) and number < len(value.places) and not isinstance(target, ast.Starred):
        return value.places[number]
    return elements(frozenset([value])) if isinstance(value, Items | Row) else frozenset([Unknown()])


def _merged(one: Mapping[str, Values], other: Mapping[str, Values]) -> dict[str, Values]:
    return {name: one.get(name, NOTHING) | other.get(name, NOTHING) for name in {*one, *other}}


def _caught(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return []
    return [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)]


def _captured(pattern: ast.pattern) -> Iterator[str]:
    """Yield the names that a pattern binds."""
    for node in ast.walk(pattern):
        name = getattr(node, "rest" if isinstance(node, ast.MatchMapping) else "name", None)
        if isinstance(name, str):
            yield name


def _is_whole(pattern: ast.pattern) -> bool:
    """Return whether a pattern is a name, or `_`: it takes everything."""
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _is_generator(node: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(item)
    return False


def _as_load(target: ast.expr) -> ast.expr:
    copy = ast.parse(ast.unparse(target), mode="eval").body
    for node in ast.walk(copy):
        ast.copy_location(node, target)
    return copy
