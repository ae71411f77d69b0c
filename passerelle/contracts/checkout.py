"""Which code this is: the commit and the lock, written into every run and model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
UNKNOWN: Final = "unknown"


def git_sha() -> str:
    """Return the commit that is checked out, read from .git without running git; "unknown" outside a checkout."""
    head = ROOT / ".git" / "HEAD"
    if not head.is_file():
        return UNKNOWN
    text = head.read_text(encoding="utf-8").strip()
    if not text.startswith("ref: "):
        return text[:12]
    reference = text.removeprefix("ref: ")
    loose = ROOT / ".git" / reference
    if loose.is_file():
        return loose.read_text(encoding="utf-8").strip()[:12]
    packed = ROOT / ".git" / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0][:12] for line in lines if line.endswith(f" {reference}")), UNKNOWN)


def lock_hash() -> str:
    """Return 12 hex digits of the locked dependencies; "unknown" where the lock is not at hand."""
    lock = ROOT / "requirements.txt"
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.is_file() else UNKNOWN
