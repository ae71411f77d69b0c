"""Where a cluster keeps the files of rows: S3, which every machine reaches; no machine sees another's disk.

Paths are keys of the curated zone. What a task has validated is staged below the run's own prefix, for only the driver
can say whether the drop as a whole is accepted; it copies what stays, and the rest goes with the staged files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile, DropManifest
from training.prepare.fetch import file_digest

STAGED: Final = "staged"


@dataclass(frozen=True)
class Buckets:
    """S3's zones as the places of one run; it travels to the tasks, each of which has a client of its own."""

    manifest: DropManifest

    def curate(self, good: Path, name: str) -> None:
        self._copy(good, "curated", f"{zones.curated_files_prefix(self.manifest.project)}/{name}")

    def reject(self, rows: Path, name: str) -> None:
        run = self.manifest
        prefix = zones.quarantine_rows_prefix(run.project, run.run_id, run.attempt)
        self._copy(rows, "quarantine", f"{prefix}/{name}")

    def curated(self, file: DatasetFile) -> Path:
        return Path(file.curated_key)

    def dataset(self, identity: str) -> Path:
        return Path(zones.dataset_prefix(self.manifest.project, identity))

    def stage(self, path: Path) -> None:
        """Keep a file that a task has made, until the driver says what becomes of it."""
        self.upload(path, self._staged(path))

    def upload(self, path: Path, key: str) -> None:
        """Write a task's file under a key; S3 refuses other bytes than these."""
        Objects().write_file(self._curated, key, path, file_digest(path))

    def fetch(self, key: str, folder: Path) -> Path:
        """Copy a file of rows onto this machine."""
        return Objects().download(self._curated, key, folder / PurePosixPath(key).name)

    def forget_staged(self) -> None:
        """Delete what was staged."""
        self.keep_only(f"{self._prefix}/", ())

    def keep_only(self, prefix: str, keys: Collection[str]) -> None:
        """Delete what an earlier attempt has left below a prefix beside these keys."""
        objects = Objects()
        for key in [key for key in objects.keys(self._curated, prefix) if key not in keys]:
            objects.delete(self._curated, key)

    def _copy(self, path: Path, zone: str, key: str) -> None:
        Objects().copy(self._curated, self._staged(path), self.manifest.zones[zone], key)

    def _staged(self, path: Path) -> str:
        """Return the key of a task's file: its folder there has the file's number."""
        return f"{self._prefix}/{path.parent.name}/{path.name}"

    @property
    def _prefix(self) -> str:
        run = self.manifest
        return f"{zones.run_prefix(run.project, run.run_id, run.attempt)}/{STAGED}"

    @property
    def _curated(self) -> str:
        return self.manifest.zones["curated"]


def own_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder of this task's machine, which goes with the task."""
    return tempfile.TemporaryDirectory(prefix="passerelle-")
