"""What a cross-check of project.yaml finds, and how it says which name was meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Path = tuple[str | int, ...]
Finding = tuple[Path, str]


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint naming the closest known names, or all of them when none is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
