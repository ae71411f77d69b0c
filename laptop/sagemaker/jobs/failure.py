"""Why a container failed, in the words of SageMaker's FailureReason and ExitMessage."""

from __future__ import annotations

import codecs
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

#: The first 1,024 characters of /opt/ml/output/failure become FailureReason, the first KB of message ExitMessage.
REASON_CHARACTERS: Final = 1_024


def failure_reason(kind: str, code: int, written: str, tail: Sequence[str]) -> str:
    """Return FailureReason: what the container wrote, else its last words; a signal is named."""
    if code < 0:
        hint = " (often the kernel's out-of-memory killer)" if -code == signal.SIGKILL else ""
        return f"{kind}: the container was killed by {_signal(-code)}{hint}, exit code: {128 - code}. {written}".strip()
    words = written or "\n".join(tail[-5:])
    return f"{kind}: {words[: REASON_CHARACTERS - 60]}, exit code: {code}"


def read_reason(path: Path) -> str:
    """Return the first characters of a failure file; nothing when there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(REASON_CHARACTERS).strip()
    except OSError:
        return ""


def read_message(path: Path) -> str:
    """Return the first KB of a message file; a character that the end of the KB cuts is left out.

    Raises UnicodeDecodeError for text that is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(REASON_CHARACTERS)
            cut = bool(file.read(1))
    except OSError:
        return ""
    return codecs.getincrementaldecoder("utf-8")().decode(raw, final=not cut)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
