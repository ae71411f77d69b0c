"""A project's own model code: imported from the bundle that holds it, under a name made of its content.

So two versions live side by side in one process, and a class belongs to exactly the code that its bundle's manifest
vouches for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PREFIX: Final = "passerelle_own_"


def module_name(source: bytes) -> str:
    """Return the name that a file's module has: its types are saved under it."""
    return f"{_PREFIX}{hashlib.sha256(source).hexdigest()[:16]}"


def import_own(source: bytes) -> ModuleType:
    """Return the module of a project's model.py, imported once; whatever it raises passes through."""
    name = module_name(source)
    if name not in sys.modules:
        spec = importlib.util.spec_from_loader(name, _InMemory(source))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def own_types(pipeline: Any, source: bytes) -> tuple[str, ...]:
    """Return the types of a pipeline that its project's module defines."""
    import skops.io

    named = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))
    return tuple(name for name in named if name.startswith(f"{module_name(source)}."))


@contextmanager
def own_file(source: bytes | None) -> Iterator[Path | None]:
    """Give the code as a file of the module's name, for what imports it by that name; None for none."""
    if source is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{module_name(source)}.py"
        path.write_bytes(source)
        yield path


class _InMemory(SourceLoader):
    """Loads what was verified, not what lies on disk by then; writes no bytecode beside it."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def get_filename(self, fullname: str) -> str:
        return "model.py"

    def get_data(self, path: bytes | str) -> bytes:
        if not str(path).endswith(".py"):
            raise OSError("no bytecode is kept")
        return self._source
