"""Where the files of rows lie between the steps of a run: in folders of this machine, or in S3 (`buckets`)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import DatasetFile, DropManifest


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where `prepare` reads and writes on the local disk."""

    result: Path
    quarantine: Path
    curated: Path
    work: Path


class Places(Protocol):
    """Files of rows: put where they stay, and found again by the engine that reads or writes them."""

    def curate(self, good: Path, name: str) -> None:
        """Put an accepted file's good rows among the curated files."""

    def reject(self, rows: Path, name: str) -> None:
        """Put a file's rejected rows into quarantine."""

    def curated(self, file: DatasetFile) -> Path:
        """Return where the engine reads a file's rows."""

    def dataset(self, identity: str) -> Path:
        """Return where the engine writes a dataset's parts."""


@dataclass(frozen=True)
class LocalPlaces:
    """Folders of this machine, which SageMaker copies to S3 at the end; earlier files are fetched from there."""

    folders: Folders
    manifest: DropManifest
    objects: Objects

    def curate(self, good: Path, name: str) -> None:
        _move(good, self.folders.curated / "files" / name)

    def reject(self, rows: Path, name: str) -> None:
        _move(rows, self.folders.quarantine / zones.QUARANTINED_ROWS / name)

    def curated(self, file: DatasetFile) -> Path:
        name = file.curated_key.rsplit("/", 1)[-1]
        made_now = self.folders.curated / "files" / name
        if made_now.exists():
            return made_now
        bucket = self.manifest.zones["curated"]
        return self.objects.download(bucket, file.curated_key, self.folders.work / "earlier" / name)

    def dataset(self, identity: str) -> Path:
        return self.folders.curated / "datasets" / identity

    def supersede(self, identity: str) -> None:
        """Delete the parts of an earlier preparation of these rows that SageMaker's upload will not overwrite.

        Readers take what lies below a part's prefix: another engine's files there would count its rows twice. Their
        deletion comes before the upload, so what an interruption leaves is no dataset, and not a doubled one.
        """
        bucket, folder = self.manifest.zones["curated"], self.dataset(identity)
        prefix = zones.dataset_prefix(self.manifest.project, identity)
        written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
        there = {key.removeprefix(f"{prefix}/") for key in self.objects.keys(bucket, f"{prefix}/")}
        for name in sorted(there - written):
            if name.endswith(".parquet"):
                self.objects.delete(bucket, f"{prefix}/{name}")


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
