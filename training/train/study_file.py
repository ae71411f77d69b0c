"""The study between trials, in the checkpoints: a spot interruption loses the running trials and no other."""

from __future__ import annotations

import json
import os
from pathlib import Path

from passerelle.contracts.study import Study


class StudyFile:
    """A study as JSON with the key of the code, data and settings that it was made with."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        path.parent.mkdir(parents=True, exist_ok=True)

    def save(self, study: Study) -> None:
        """Replace the file whole."""
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps({"key": self._key, "study": study.model_dump(mode="json")}), encoding="utf-8")
        os.replace(partial, self._path)

    def load(self) -> Study | None:
        """Return the interrupted study; None when there is none, or it is corrupt or of other data."""
        if not self._path.exists():
            return None
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["key"] != self._key:
                raise ValueError("it was made by other code, or from other data")
            return Study.model_validate(document["study"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"The interrupted search is not used: {error}; it begins anew.", flush=True)
            return None
