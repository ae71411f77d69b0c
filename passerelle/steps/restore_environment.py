"""Put a backup into a freshly deployed environment, in an order in which nothing is processed a second time.

What runs have processed is known before an object comes back, and each raw object's claim is written with it: the event
that S3 sends for it, and the reconciler, find that it was claimed before. Every part may be done again, so a restore
that was interrupted at any moment is run again and ends the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final, Literal

from passerelle.aws.backup_store import BackupStore, fetch
from passerelle.aws.object_versions import Restorer, list_versions
from passerelle.aws.table_items import Item, kind_of, project_of, text
from passerelle.contracts import naming
from passerelle.contracts.backup import DATABASE, BackupIndex, ObjectEntry, blob_name
from passerelle.errors import InputError, SettingsError
from passerelle.steps.back_up import PARALLEL, Place, Progress
from passerelle.steps.check_backup import read_items, read_manifest
from passerelle.steps.restored_items import Moved, moved, need_readable, restored

Stage = Literal["started", "data", "database", "done"]
#: Replaces MLflow's database by the dump (None: the backup has none), with the buckets' new names.
RestoreDatabase = Callable[[Path | None, dict[str, str]], None]
_FIRST: Final = ("CONTENT", "RUN")


@dataclass(frozen=True, kw_only=True)
class Journal:
    """How far a restore has come. It lies in the environment itself, so it goes when that goes."""

    ssm: Any
    environment: str

    @property
    def _name(self) -> str:
        return naming.resource_parameter(self.environment, "restore")

    def read(self) -> tuple[str, Stage] | None:
        """Return (backup id, stage) of the last restore, or None."""
        found = self.ssm.get_parameters(Names=[self._name])["Parameters"]
        if not found:
            return None
        document = json.loads(found[0]["Value"])
        return document["backup"], document["stage"]

    def write(self, backup_id: str, stage: Stage) -> None:
        value = json.dumps({"backup": backup_id, "stage": stage})
        self.ssm.put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True)


def need_restorable(
    index: BackupIndex, place: Place, projects: list[str], journal: Journal, *, overwrite: bool
) -> Stage | None:
    """Return how far this backup was restored here before, None when it was not begun.

    Raises InputError for an environment that has data, or is another than the backup's; SettingsError when a project
    that was served is not deployed.
    """
    if index.environment != place.environment:
        raise InputError(
            f"Backup {index.id} is of environment {index.environment!r}: names of endpoints and models carry that. "
            f"Deploy that environment, then `passerelle --env {index.environment} restore`."
        )
    missing = sorted({served.project for served in index.served} - set(projects))
    if missing:
        raise SettingsError(
            f"Served in the backup, but not deployed here: {', '.join(missing)}. Deploy them (`passerelle deploy`, "
            "with --projects-dir where they lie elsewhere), then restore again."
        )
    before = journal.read()
    if before is not None and before[0] == index.id and not (overwrite and before[1] == "done"):
        return before[1]
    if overwrite:
        return None
    if before is not None and before[1] != "done":
        raise InputError(
            f"Backup {before[0]} was being restored here and is not done. Go on with it (--backup {before[0]}), or "
            "replace what is there (--overwrite)."
        )
    if not place.items.is_empty() or list_versions(place.clients("s3"), place.buckets["raw"]):
        raise InputError(
            f"Environment {place.environment} has runs or dropped files already. Restore into a new one, or replace "
            "what is there with --overwrite: runs that the backup does not know are forgotten, MLflow's database is "
            "replaced; no object is deleted."
        )
    return None


def restore_data(
    index: BackupIndex, place: Place, store: BackupStore, progress: Progress, *, fresh: bool
) -> tuple[Moved, list[Item]]:
    """Put objects and items back; returns what has moved, and the items as they are now."""
    items = read_items(store, index)
    need_readable(items, f"Backup {index.id}")
    change = moved(index, place.buckets, account=place.account, tracking=(index.tracking_url, place.tracking_url))
    if fresh:
        keys = {(item["pk"]["S"], item["sk"]["S"]) for item in items}
        place.items.delete(item for item in place.items.all() if (item["pk"]["S"], item["sk"]["S"]) not in keys)
    place.items.put(_here(items, change, _FIRST))
    with TemporaryDirectory(prefix="passerelle-restore-") as work:
        for name in sorted(index.buckets, key=lambda store_name: store_name != "raw"):
            part = _Zone(place, store, Path(work), name, items if name == "raw" else [], change)
            versions = part.restore(read_manifest(store, index.id, name), progress)
            if name == "raw":
                change = replace(change, versions=versions)
    claims = [item for item in items if kind_of(item) == "DROP" and _version(item) not in change.versions]
    everything = [item for item in items if kind_of(item) != "DROP"] + [item for item in claims if "run_id" in item]
    here = _here(everything, change, None)
    place.items.put(here)
    return change, here


def restore_database(index: BackupIndex, store: BackupStore, change: Moved, put_back: RestoreDatabase) -> None:
    """Hand the dump over, if the backup has one."""
    part = index.part(DATABASE)
    with TemporaryDirectory(prefix="passerelle-restore-") as work:
        path = None
        if part is not None:
            path = fetch(store, f"{index.id}/{DATABASE}", Path(work) / DATABASE, sha256=part.sha256)
        put_back(path, dict(change.buckets))


class _Zone:
    """One bucket being filled; in the raw zone each version's claim follows at once."""

    def __init__(
        self, place: Place, store: BackupStore, work: Path, name: str, items: list[Item], change: Moved
    ) -> None:
        self._place, self._store, self._work, self._name, self._change = place, store, work, name, change
        self._claims = {_version(item): item for item in items if kind_of(item) == "DROP" and "run_id" in item}
        self._lock, self._done, self._files = Lock(), 0, count()

    def restore(self, entries: list[ObjectEntry], progress: Progress) -> dict[tuple[str, str | None], str | None]:
        """Put a manifest's objects back; returns (key, old version) -> new version."""
        if self._name not in self._place.buckets:
            raise SettingsError(f"Environment {self._place.environment} has no bucket for the backup's {self._name}.")
        restorer = Restorer(self._place.clients("s3"), self._place.buckets[self._name])
        keys = [list(group) for _, group in groupby(entries, key=lambda entry: entry.key)]
        versions: dict[tuple[str, str | None], str | None] = {}

        def put_back(group: list[ObjectEntry]) -> None:
            for entry, version in restorer.restore(group, self._fetch):
                found = {(entry.key, entry.version_id): version}
                self._claim(entry, found)
                with self._lock:
                    versions.update(found)
            with self._lock:
                self._done += 1
                progress(self._name, self._done, len(keys))

        progress(self._name, 0, len(keys))
        with ThreadPoolExecutor(PARALLEL) as pool:
            try:
                list(pool.map(put_back, keys))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return versions

    def _claim(self, entry: ObjectEntry, found: dict[tuple[str, str | None], str | None]) -> None:
        claim = self._claims.get((entry.key, entry.version_id))
        if claim is not None:
            self._place.items.put(_here([claim], replace(self._change, versions=found), None))

    def _fetch(self, entry: ObjectEntry) -> Path:
        assert entry.sha256 is not None
        path = self._work / f"{self._name}-{next(self._files)}"
        return fetch(self._store, blob_name(entry.sha256), path, sha256=entry.sha256)


def _version(item: Item) -> tuple[str, str | None]:
    return text(item, "key") or "", text(item, "version_id")


def _here(items: list[Item], change: Moved, kinds: tuple[str, ...] | None) -> list[Item]:
    """Return items as they must be here; `kinds` limits which."""
    wanted = (item for item in items if kinds is None or kind_of(item) in kinds)
    return [found for item in wanted if (found := restored(item, change)) is not None]


def champions(items: list[Item]) -> list[str]:
    """Return the projects that had a served model."""
    return [project_of(item) for item in items if kind_of(item) == "CHAMPION"]
