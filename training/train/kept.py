"""What a job has worked out so far, as JSON in its checkpoints: whole or not at all, and only for the same question."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """One JSON document; `key` says what it must have been made from to be of use: code, data, parameters."""

    def __init__(self, path: Path, key: str, what: str) -> None:
        self._path, self._key, self._what = path, key, what

    def save(self, document: Any) -> None:
        """Replace the file whole; what cannot be kept is told, and ends nothing."""
        body = json.dumps(document)
        partial = self._path.with_suffix(".partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                json.dump({"key": self._key, "sha256": _hash(body), "body": body}, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            print(f"{self._what} is not kept: {error}", flush=True)

    def load(self) -> Any:
        """Return the document; None when there is none of use: what is wrong with it is told."""
        if not self._path.exists():
            return None
        try:
            outer = json.loads(self._path.read_text(encoding="utf-8"))
            if outer["key"] != self._key:
                raise ValueError("it was made by other code, or from other data")
            if outer["sha256"] != _hash(outer["body"]):
                raise ValueError("it is not as it was written")
            return json.loads(outer["body"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"{self._what} is not used: {error}; it begins anew.", flush=True)
            return None

    def remove(self) -> None:
        """Forget the document: something later holds what it held."""
        self._path.unlink(missing_ok=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class KeptNumbers:
    """Numbers that are always worked out in the same order, as permutation importance does; kept now and then."""

    def __init__(self, kept: Kept, every_seconds: float) -> None:
        self._kept, self._every_seconds = kept, every_seconds
        self._known: list[float | None] = kept.load() or []
        self._place, self._saved_at = 0, time.monotonic()

    def next(self, work_out: Callable[[], float | None]) -> float | None:
        """Return the next number: a known one, or one that is worked out now."""
        if self._place == len(self._known):
            self._known.append(work_out())
            if time.monotonic() - self._saved_at > self._every_seconds:
                self._kept.save(self._known)
                self._saved_at = time.monotonic()
        self._place += 1
        return self._known[self._place - 1]
