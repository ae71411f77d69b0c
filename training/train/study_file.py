"""The study between trials, in the checkpoints: a spot interruption loses the running trials and no other."""

from __future__ import annotations

from pathlib import Path

from passerelle.contracts.study import Study
from training.train.kept import Kept


class StudyFile:
    """A study as JSON with the key of the code, data and settings that it was made with."""

    def __init__(self, path: Path, key: str) -> None:
        self._kept = Kept(path, key, "The interrupted search")

    def save(self, study: Study) -> None:
        """Replace the file whole."""
        self._kept.save(study.model_dump(mode="json"))

    def load(self) -> Study | None:
        """Return the interrupted study; None when there is none, or it is corrupt or of other data."""
        document = self._kept.load()
        return None if document is None else Study.model_validate(document)
