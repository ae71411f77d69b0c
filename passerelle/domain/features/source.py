"""features.py: imported where a project is checked, its data prepared or its models trained; never where it is served.

Whatever is wrong with the file is said with its line and the remedy.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from passerelle.contracts.bundle import DerivedFeature
from passerelle.domain.project import Project
from passerelle.domain.project.findings import did_you_mean
from passerelle.errors import ProjectError

FUNCTION: Final = "features"
_SIGNATURE: Final = "def features(rows): return {'name': rows.column + 1}"


def compile_features(source: bytes, project: Project) -> tuple[DerivedFeature, ...]:
    """Return a project's features, compiled, in the order of project.yaml.

    Raises ProjectError, `file:line: feature: what is wrong; the remedy`, one line per problem.
    """
    assert project.data.features is not None
    from passerelle.domain.features.expressions import FeatureError, compile_feature, open_rows

    file, text = project.data.features.file, _decoded(source, project.data.features.file)
    rows = open_rows(project)
    found = _call(_imported(text, file), rows, text, project)
    problems = list(_mismatched(found, text, project))
    derived: list[DerivedFeature] = []
    for column in project.data.features.columns:
        if column.name not in found:
            continue
        try:
            feature = compile_feature(column.name, column.type, found[column.name], rows, project)
            _need_known_to_duckdb(feature)
            derived.append(feature)
        except FeatureError as error:
            problems.append(f"{file}:{line_of(text, column.name)}: feature {column.name!r} {error}")
    if problems:
        raise ProjectError("\n".join(problems))
    return tuple(derived)


def line_of(text: str, name: str) -> int:
    """Return the line that names a feature, else that of the function."""
    function = 1
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and node.value == name:
            return node.lineno
        if isinstance(node, ast.keyword) and node.arg == name:
            return node.value.lineno
        if isinstance(node, ast.FunctionDef) and node.name == FUNCTION:
            function = node.lineno
    return function


def _decoded(source: bytes, file: str) -> str:
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        raise ProjectError(f"{file}:{line}: not UTF-8: {error.reason}. Save the file as UTF-8.") from error


def _imported(text: str, file: str) -> ModuleType:
    module = ModuleType("passerelle_features")
    try:
        exec(compile(text, file, "exec"), module.__dict__)
    except SyntaxError as error:
        raise ProjectError(f"{file}:{error.lineno or 1}: not Python: {error.msg}. Correct the line.") from error
    except Exception as error:  # whatever the project's code raises
        remedy = "It may import what the training image has (ibis, numpy, pandas), and nothing beside itself."
        raise ProjectError(f"{file}:{_line(error, file)}: cannot be imported: {_words(error)}. {remedy}") from error
    return module


def _call(module: ModuleType, rows: Any, text: str, project: Project) -> dict[str, Any]:
    file = project.data.features.file if project.data.features else ""
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise ProjectError(f"{file}:1: there is no function {FUNCTION}(rows) in it. Write: {_SIGNATURE}")
    try:
        found = function(rows)
    except Exception as error:
        where, readable = f"{file}:{_line(error, file)}", ", ".join(rows.columns)
        raise ProjectError(
            f"{where}: {FUNCTION}(rows) failed: {_words(error)}. `rows` has the columns {readable}; "
            "label, weight, leakage and personal columns are not among them."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        kind = f"a {type(found).__name__}" if not isinstance(found, dict) else "a dict whose keys are not all texts"
        line = line_of(text, "")
        raise ProjectError(
            f"{file}:{line}: {FUNCTION}(rows) returned {kind}, no dict of name: expression. {_SIGNATURE}"
        )
    return found


def _mismatched(found: dict[str, Any], text: str, project: Project) -> Iterator[str]:
    """Yield what is declared and not returned, or returned and not declared."""
    assert project.data.features is not None
    file, declared = project.data.features.file, [column.name for column in project.data.features.columns]
    for name in declared:
        if name not in found:
            hint = did_you_mean(name, list(found)) if found else "it returns nothing"
            yield (
                f"{file}:{line_of(text, name)}: feature {name!r} is declared in data.features.columns and not "
                f"returned; {hint}"
            )
    for name in sorted(found.keys() - set(declared)):
        yield (
            f"{file}:{line_of(text, name)}: feature {name!r} is returned and not declared; add it to "
            "data.features.columns with its type, or leave it out"
        )


def _need_known_to_duckdb(feature: DerivedFeature) -> None:
    """Raise FeatureError unless DuckDB takes the expression, as the server will ask it to."""
    import duckdb

    from passerelle.domain.features.derive import Deriver
    from passerelle.domain.features.expressions import FeatureError

    try:
        Deriver([feature])
    except duckdb.Error as error:
        words = str(error).splitlines()[0]
        raise FeatureError(f"is refused by DuckDB: {words}. Write it with other operations.") from error


def _line(error: BaseException, file: str) -> int:
    """Return the last line of the file that an error came through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return next((line for line in reversed(lines) if line), 1)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ").rstrip(".")
