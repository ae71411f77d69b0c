"""Fetch one dropped file after the other and validate it under one compiled contract."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from passerelle.aws.objects import Objects
from passerelle.contracts.container import DropFile, FileOutcome, Problem
from passerelle.domain.contract.compiled import CompiledContract
from passerelle.domain.project import Project
from passerelle.errors import NotFoundError
from training.prepare.limits import AT_ONCE_BYTES, MAX_FILE_BYTES, duckdb_settings
from training.prepare.validate import ValidatedFile, validate_file
from training.progress import tell

_GONE: Final = Problem(
    code="file_gone",
    rule="a dropped file stays until it is read",
    message="",
    remedy="Drop the file again, and do not delete it before the run ends.",
)
# The object was overwritten between its claim and now, in a bucket that keeps no versions.
_CHANGED: Final = Problem(
    code="file_changed",
    rule="a dropped file stays as it was until it is read",
    message="the object's bytes are not those that were claimed",
    remedy="Drop the file again, under a new name or in a versioned bucket.",
)
_TOO_LARGE: Final = Problem(
    code="file_too_large",
    rule=f"a file has at most {MAX_FILE_BYTES:,} bytes",
    message="",
    remedy="Drop it in parts: files of one drop, and of several, add up.",
)


@dataclass
class Validation:
    """One run's contract, compiled once, and where its files come from."""

    project: Project
    contract: CompiledContract
    objects: Objects
    work: Path
    count: int = 0

    def files(self, files: Sequence[DropFile]) -> list[ValidatedFile]:
        """Return what each file holds, in their order; several files are read at once, each by one core."""
        start, self.count = self.count, self.count + len(files)
        most = max((file.size for file in files), default=0)
        workers = max(1, min(len(files), duckdb_settings(self.work)["threads"], AT_ONCE_BYTES // max(1, most)))
        with ThreadPoolExecutor(workers) as pool:
            found = pool.map(lambda item: self._fetched(item[1], item[0], workers), enumerate(files, start))
            return [_told(validated) for validated in found]

    def file(self, file: DropFile, number: int) -> ValidatedFile:
        """Return what a file holds, or why it could not be read."""
        return _told(self._fetched(file, number, 1))

    def _fetched(self, file: DropFile, number: int, workers: int) -> ValidatedFile:
        work = self.work / f"{number:05d}"
        local = work / "raw"
        if file.size > MAX_FILE_BYTES:
            return _refused(file, _TOO_LARGE.model_copy(update={"message": _size_words(file.size)}))
        try:
            self.objects.download(file.bucket, file.key, local, file.version_id)
        except NotFoundError as error:
            return _refused(file, _GONE.model_copy(update={"message": str(error)}))
        if file_digest(local) != file.sha256:
            return _refused(file, _CHANGED)
        validated = validate_file(local, file, self.project, self.contract, work=work, workers=workers)
        local.unlink()
        return validated


def _told(validated: ValidatedFile) -> ValidatedFile:
    outcome = validated.outcome
    tell(
        "file_validated",
        key=outcome.key,
        status=outcome.status,
        rows_accepted=outcome.rows_accepted,
        rows_rejected=outcome.rows_rejected,
    )
    return validated


def _size_words(size: int) -> str:
    return f"the file has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}"


def _refused(file: DropFile, problem: Problem) -> ValidatedFile:
    """Return the outcome of a file that was not even opened."""
    problem = problem.model_copy(update={"file": file.key})
    return ValidatedFile(
        outcome=FileOutcome(
            key=file.key, version_id=file.version_id, sha256=file.sha256, status="rejected", problems=(problem,)
        )
    )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
