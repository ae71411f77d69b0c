"""Our own source code: modules, classes and functions by name."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

#: Packages whose code is followed; everything else is External.
PACKAGES: Final = ("passerelle", "lambdas", "training", "cli")
Binding = ast.stmt


@dataclass(frozen=True, eq=False)
class SourceModule:
    """One module, and which statements give its top-level names their values."""

    name: str
    path: str
    tree: ast.Module

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        found: dict[str, list[Binding]] = {}
        for statement in _flat(self.tree.body):
            for name in _bound_names(statement):
                found.setdefault(name, []).append(statement)
        return found


class Program:
    """The modules below some folders. `extra` adds or replaces the text of modules: what the proof's own tests do."""

    def __init__(self, root: Path, *, extra: dict[str, str] | None = None) -> None:
        self._root, self._extra = root, extra or {}
        self._modules: dict[str, SourceModule | None] = {}

    def module(self, name: str) -> SourceModule | None:
        """Return one of our modules, None when it is not ours or does not exist."""
        if name.split(".")[0] not in PACKAGES:
            return None
        if name not in self._modules:
            self._modules[name] = self._load(name)
        return self._modules[name]

    def _load(self, name: str) -> SourceModule | None:
        place = Path(*name.split("."))
        if name in self._extra:
            return SourceModule(name, f"{place}.py", ast.parse(self._extra[name]))
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if (self._root / path).is_file():
                return SourceModule(name, str(path), ast.parse((self._root / path).read_text(encoding="utf-8")))
        if (self._root / place).is_dir():
            return SourceModule(name, str(place), ast.parse(""))
        return None

    def modules_below(self, package: str) -> list[SourceModule]:
        """Return every module of a package."""
        folder = self._root / Path(*package.split("."))
        names = [".".join(path.relative_to(self._root).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]
        return [module for name in names if (module := self.module(name.removesuffix(".__init__")))]


def _flat(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a module, those inside `if`, `try` and `with` as well."""
    found: list[ast.stmt] = []
    for statement in body:
        found.append(statement)
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                found += _flat(getattr(statement, part, []))
    return found


def _bound_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name.split(".")[0]) for alias in statement.names]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return [node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]
