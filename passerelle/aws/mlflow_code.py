"""The few modules of ours that a pipeline needs to be loaded: a logged model takes them along.

MLflow's `code_paths` (Models documentation, "Managing Dependencies"): who loads the model has the packages that it
names as requirements, but not Passerelle, which is on no package index.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import passerelle

_PACKAGE: Final = "passerelle"
_ROOT: Final = Path(passerelle.__file__).parent


def copy_code(types: Iterable[str], folder: Path) -> Path:
    """Copy the modules that hold the types, and all of ours that those import; returns the copied package."""
    wanted = [name.rpartition(".")[0] for name in types if name.startswith(f"{_PACKAGE}.")]
    found: set[Path] = set()
    while wanted:
        path = _source(wanted.pop())
        if path is not None and path not in found:
            found.add(path)
            wanted += _imported(path)
    package = folder / _PACKAGE
    for path in sorted(found):
        target = package / path.relative_to(_ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        for parent in (package, *(item for item in target.parents if package in item.parents)):
            (parent / "__init__.py").touch()
    return package


def _source(module: str) -> Path | None:
    """Return a module's file; None for a name inside a module, and for a package, whose own file does nothing."""
    path = _ROOT.parent.joinpath(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)
