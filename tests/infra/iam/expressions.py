"""What expressions of our code may be, and which calls of AWS evaluating them makes."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tests.infra.iam.resolution import Resolution
from tests.infra.iam.values import (
    ANY,
    NONE,
    NOTHING,
    UNKNOWN,
    Const,
    Function,
    Instance,
    Items,
    Record,
    Row,
    Scope,
    Text,
    Unknown,
    Value,
    Values,
    concatenate,
    elements,
    join,
    only,
    truth,
)

#: Methods that change a mapping.
_CHANGES = ("update", "setdefault", "pop", "clear")
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Is: lambda one, other: one is other,
    ast.IsNot: lambda one, other: one is not other,
    ast.Eq: lambda one, other: bool(one == other),
    ast.NotEq: lambda one, other: bool(one != other),
}


class Expressions(Resolution):
    """Expressions; names, attributes and calls are in the base class."""

    def evaluate(self, node: ast.expr, scope: Scope) -> Values:
        """Return what an expression may be."""
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.evaluate(child, scope)
            return UNKNOWN
        return frozenset(method(node, scope))

    # Literals

    def _of_constant(self, node: ast.Constant, scope: Scope) -> Values:
        return only(Text(node.value) if isinstance(node.value, str) else Const(node.value))

    def _of_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Values:
        return concatenate(
            [self.evaluate(part.value if isinstance(part, ast.FormattedValue) else part, scope) for part in node.values]
        )

    def _of_dict(self, node: ast.Dict, scope: Scope) -> Values:
        found: list[Record] = [Record(())]
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.evaluate(item, scope)
            if key is None:
                found = [merge(one, other) for one in found for other in value]
                continue
            names = [name.text for name in self.evaluate(key, scope) if isinstance(name, Text) and ANY not in name.text]
            addition = Record(tuple((name, value) for name in names), complete=bool(names))
            found = [merge(one, addition) for one in found]
        return frozenset(found)

    def _of_tuple(self, node: ast.Tuple, scope: Scope) -> Values:
        if any(isinstance(item, ast.Starred) for item in node.elts):
            return self._of_list(node, scope)
        return only(Row(tuple(self.evaluate(item, scope) for item in node.elts)))

    def _of_list(self, node: ast.List | ast.Set | ast.Tuple, scope: Scope) -> Values:
        found = [
            elements(self.evaluate(item.value, scope)) if isinstance(item, ast.Starred) else self.evaluate(item, scope)
            for item in node.elts
        ]
        # More may be appended later.
        return only(Items(join(*found, UNKNOWN)))

    _of_set = _of_list

    def _of_lambda(self, node: ast.Lambda, scope: Scope) -> Values:
        return only(Function(scope.module, node, scope))

    # Names and calls

    def _of_name(self, node: ast.Name, scope: Scope) -> Values:
        return self.name(node.id, scope)

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Values:
        return join(*(self.attribute(value, node.attr) for value in self.evaluate(node.value, scope)))

    def _of_call(self, node: ast.Call, scope: Scope) -> Values:
        place = f"{scope.module}:{node.lineno}"
        positional: list[Values] = []
        for item in node.args:
            if isinstance(item, ast.Starred):
                for value in self.evaluate(item.value, scope):
                    positional += value.places if isinstance(value, Row) else []
            else:
                positional.append(self.evaluate(item, scope))
        named: dict[str, Values] = {}
        rest: list[Values] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                rest.append(self.evaluate(keyword.value, scope))
            else:
                named[keyword.arg] = self.evaluate(keyword.value, scope)
        if isinstance(node.func, ast.Attribute):
            owners = self.evaluate(node.func.value, scope)
            is_super = isinstance(node.func.value, ast.Call) and ast.unparse(node.func.value) == "super()"
            if node.func.attr in _CHANGES:
                self.change_records(node.func.value, Record((), complete=False), scope)
            if is_super:
                called = self.inherited(self.name("self", scope), node.func.attr)
            else:
                self.watch(owners, node.func.attr, place)
                called = join(*(self.attribute(value, node.func.attr) for value in owners))
        else:
            called = self.evaluate(node.func, scope)
        self.place = (self.file_of(scope.module), node.lineno)
        spread = _spread(rest)
        return join(*(self._apply(value, positional, named, spread, place) for value in called))

    def change_records(self, node: ast.expr, addition: Record, scope: Scope) -> None:
        """A mapping gets other keys: it is another record from here on, under the same name."""

        def changed(values: Values) -> Values:
            return frozenset(merge(value, addition) if isinstance(value, Record) else value for value in values)

        if isinstance(node, ast.Attribute):
            for owner in self.evaluate(node.value, scope):
                known = self.heap.get(owner, {}) if isinstance(owner, Instance) else {}
                if node.attr in known:
                    known[node.attr] = changed(known[node.attr])
        elif isinstance(node, ast.Name):
            place = scope
            while node.id not in place.names and place.outer:
                place = place.outer
            if node.id in place.names:
                place.names[node.id] = changed(place.names[node.id])
            else:
                self.change_global(place.module, node.id, changed)

    def _apply(
        self, called: Value, positional: list[Values], named: dict[str, Values], spread: list[Record], place: str
    ) -> Values:
        here, found = self.place, NOTHING
        for record in spread:
            self.place = here
            given = {**dict(record.items), **named}
            found |= self.call(called, tuple(positional), given, all_known=record.complete, place=place)
        return found

    # Operators

    def _of_subscript(self, node: ast.Subscript, scope: Scope) -> Values:
        keys = self.evaluate(node.slice, scope)
        return join(*(self._element(value, key) for value in self.evaluate(node.value, scope) for key in keys))

    def _element(self, value: Value, key: Value) -> Values:
        if isinstance(value, Record):
            if isinstance(key, Text) and ANY not in key.text:
                # What a mapping certainly lacks raises KeyError.
                return value.get(key.text) if value.has(key.text) or not value.complete else NOTHING
            return join(*(values for _, values in value.items), NOTHING if value.complete else UNKNOWN)
        if isinstance(value, Row) and isinstance(key, Const) and isinstance(key.value, int):
            return value.places[key.value] if -len(value.places) <= key.value < len(value.places) else UNKNOWN
        if isinstance(value, Row | Items):
            return elements(only(value))
        return UNKNOWN

    def _of_binop(self, node: ast.BinOp, scope: Scope) -> Values:
        left, right = self.evaluate(node.left, scope), self.evaluate(node.right, scope)
        if isinstance(node.op, ast.BitOr):
            return frozenset(merge(one, other) for one in left for other in right)
        if isinstance(node.op, ast.Add):
            if any(isinstance(value, Items | Row) for value in left | right):
                return only(Items(elements(left) | elements(right)))
            if any(isinstance(value, Text) for value in left | right):
                return concatenate([left, right])
        return UNKNOWN

    def _of_boolop(self, node: ast.BoolOp, scope: Scope) -> Values:
        found, stops_at = NOTHING, isinstance(node.op, ast.Or)
        for item in node.values:
            values = self.evaluate(item, scope)
            last = item is node.values[-1]
            found |= frozenset(value for value in values if last or truth(only(value)) in (None, stops_at))
            if truth(values) is stops_at:
                break
        return found

    def _of_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Values:
        values = self.evaluate(node.operand, scope)
        if isinstance(node.op, ast.Not):
            holds = truth(values)
            return UNKNOWN if holds is None else only(Const(not holds))
        known = [value.value for value in values if isinstance(value, Const)]
        if isinstance(node.op, ast.USub) and known and isinstance(known[0], int):
            return only(Const(-known[0]))
        return UNKNOWN

    def _of_compare(self, node: ast.Compare, scope: Scope) -> Values:
        left = self.evaluate(node.left, scope)
        right = [self.evaluate(item, scope) for item in node.comparators]
        compare = _COMPARISONS.get(type(node.ops[0]))
        if compare is None or len(right) != 1:
            return UNKNOWN
        found = {_compared(compare, one, other) for one in left for other in right[0]}
        return UNKNOWN if None in found or len(found) != 1 else only(Const(found.pop()))

    def _of_ifexp(self, node: ast.IfExp, scope: Scope) -> Values:
        holds = truth(self.evaluate(node.test, scope))
        taken = [node.body, node.orelse] if holds is None else [node.body if holds else node.orelse]
        return join(*(self.evaluate(item, scope) for item in taken))

    def _of_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Values:
        value = self.evaluate(node.value, scope)
        self.bind(node.target, value, scope)
        return value

    # Iteration

    def iterated(self, values: Values) -> Values:
        """Return what a loop over values gives."""
        ours = [value for value in values if isinstance(value, Instance)]
        made = [self.call_special(value, name) for value in ours for name in ("__iter__", "__next__")]
        return join(elements(values), *(elements(item) for item in made))

    def _comprehension(self, node: Any, parts: list[ast.expr], scope: Scope) -> list[Values]:
        inner = Scope(scope.module, {}, scope)
        for generator in node.generators:
            self.bind(generator.target, self.iterated(self.evaluate(generator.iter, inner)), inner)
            for condition in generator.ifs:
                self.evaluate(condition, inner)
        return [self.evaluate(part, inner) for part in parts]

    def _of_listcomp(self, node: ast.ListComp, scope: Scope) -> Values:
        return only(Items(self._comprehension(node, [node.elt], scope)[0]))

    _of_setcomp = _of_generatorexp = _of_listcomp

    def _of_dictcomp(self, node: ast.DictComp, scope: Scope) -> Values:
        self._comprehension(node, [node.key, node.value], scope)
        return only(Record((), complete=False))

    def _of_yield(self, node: ast.Yield, scope: Scope) -> Values:
        self._yielded |= self.evaluate(node.value, scope) if node.value else NONE
        return UNKNOWN

    def _of_yieldfrom(self, node: ast.YieldFrom, scope: Scope) -> Values:
        self._yielded |= elements(self.evaluate(node.value, scope))
        return UNKNOWN


def merge(one: Value, other: Value) -> Record:
    """Return what `{**one, **other}` is."""
    if isinstance(one, Record) and isinstance(other, Record):
        known = {**dict(one.items), **dict(other.items)}
        return Record(tuple(known.items()), one.complete and other.complete)
    known = dict(next((value.items for value in (one, other) if isinstance(value, Record)), ()))
    return Record(tuple(known.items()), complete=False)


def _spread(rest: list[Values]) -> list[Record]:
    """Return what `**a, **b` may give."""
    found = [Record(())]
    for values in rest:
        found = [merge(one, other) for one in found for other in values]
    return found


def _compared(compare: Callable[[Any, Any], bool], one: Value, other: Value) -> bool | None:
    known = [item.value if isinstance(item, Const) else getattr(item, "text", None) for item in (one, other)]
    for item in (one, other):
        if isinstance(item, Unknown | Items | Record | Row) or (isinstance(item, Text) and ANY in item.text):
            # A record is not None, whatever it holds.
            if Const(None) in (one, other) and not isinstance(item, Unknown | Text):
                return bool(compare(object(), None))
            return None
    if not all(isinstance(item, Const | Text) for item in (one, other)):
        return bool(compare(object(), None)) if Const(None) in (one, other) else None
    return bool(compare(known[0], known[1]))
