"""Metric math of alarms: arithmetic, comparisons, AND, OR, IF, FILL, and sums over metrics, period by period.

CloudWatch user guide, "Using math expressions with CloudWatch metrics". Everything else that CloudWatch knows is
refused by name when the alarm is put: an alarm that is never judged would look healthy.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Values = Mapping[str, float | None]
_ARITHMETIC: Final[dict[type[ast.AST], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: Final[dict[type[ast.AST], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OF_ONE: Final[dict[str, Callable[[float], float]]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
_OF_MANY: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
#: How CloudWatch writes what Python writes otherwise.
_SPELLING: Final = ((r"\^", "**"), (r"&&", " and "), (r"\|\|", " or "), (r"\bAND\b", "and"), (r"\bOR\b", "or"))


@lru_cache(maxsize=256)
def parse(expression: str) -> ast.expr:
    """Return an expression's tree; raises ValueError where it is wrong, or more than is evaluated here."""
    text = expression
    for pattern, spelling in _SPELLING:
        text = re.sub(pattern, spelling, text)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(f"Error in expression [{expression}]") from None
    _check(tree, expression)
    return tree


def names_in(expression: str) -> set[str]:
    """Return the ids that an expression uses."""
    calls = {node.func for node in ast.walk(parse(expression)) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(parse(expression)) if isinstance(node, ast.Name) and node not in calls}


def evaluate(expression: str, values: Values, metrics: Sequence[str]) -> float | None:
    """Evaluate one period; None is no datapoint. `metrics` are the ids that METRICS() means."""
    try:
        found = _value(parse(expression), values, metrics)
    except (ArithmeticError, ValueError):
        return None
    # A power of a negative number may be complex.
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _check(node: ast.expr, expression: str) -> None:
    for child in _operands(node, expression):
        _check(child, expression)


def _operands(node: ast.expr, expression: str) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield from (node.left, node.right)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            yield node.operand
        case ast.BoolOp():
            yield from node.values
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            yield from (node.left, *node.comparators)
        case ast.Constant() if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            pass
        case ast.Name() if node.id[0].islower():
            pass
        case ast.Call(func=ast.Name(id=name), keywords=[]) if (name, len(node.args)) in _FIXED:
            yield from node.args
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=items)], keywords=[]) if name in _OF_MANY and items:
            yield from items
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _OF_MANY and _all(argument):
            pass
        case _:
            raise ValueError(
                f"The laptop does not evaluate [{ast.unparse(node)}] of the expression [{expression}]; it knows "
                "+ - * / ^, comparisons, AND, OR, IF, FILL with a value, ABS, CEIL, FLOOR, and SUM, AVG, MIN, MAX of "
                "[m1, m2] or METRICS()"
            )


_FIXED: Final = {("IF", 2), ("IF", 3), ("FILL", 2), *((name, 1) for name in _OF_ONE)}


def _all(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "METRICS" and not node.args
    )


def _value(node: ast.expr, values: Values, metrics: Sequence[str]) -> Any:
    def of(child: ast.expr) -> Any:
        return _value(child, values, metrics)

    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.UnaryOp():
            found = of(node.operand)
            return None if found is None else -found if isinstance(node.op, ast.USub) else found
        case ast.BinOp():
            return _both(_ARITHMETIC[type(node.op)], of(node.left), of(node.right))
        case ast.Compare():
            return _both(_COMPARISONS[type(node.ops[0])], of(node.left), of(node.comparators[0]))
        case ast.BoolOp():
            truths = [of(child) for child in node.values]
            combine = all if isinstance(node.op, ast.And) else any
            return None if None in truths else float(combine(truths))
        case ast.Call(func=ast.Name(id=name)):
            return _called(name, node.args, of, [values[id_] for id_ in metrics])
    raise AssertionError(ast.dump(node))


def _both(function: Callable[[float, float], Any], left: float | None, right: float | None) -> Any:
    return None if left is None or right is None else function(left, right) * 1.0


def _called(name: str, arguments: Sequence[ast.expr], of: Callable[[ast.expr], Any], all_: Sequence[Any]) -> Any:
    if name in _OF_MANY:
        items = [of(item) for item in arguments[0].elts] if isinstance(arguments[0], ast.List) else all_
        known = [item for item in items if item is not None]
        return _OF_MANY[name](known) if known else None
    found = of(arguments[0])
    if name == "FILL":
        return of(arguments[1]) if found is None else found
    if found is None:
        return None
    if name == "IF":
        if found:
            return of(arguments[1])
        return of(arguments[2]) if len(arguments) == 3 else None
    return _OF_ONE[name](found)
