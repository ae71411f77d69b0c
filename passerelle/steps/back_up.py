"""Back an environment up: what cannot be rebuilt from code, in an order in which nothing refers to what is not there.

The runs table comes first and the objects last. Objects are only ever added, so whatever the table names is among them;
an object that came after the table was read is unclaimed in the backup, and is processed when it is restored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

from passerelle.aws.backup_store import BackupStore
from passerelle.aws.object_versions import Listed, download, entry_of, list_versions
from passerelle.aws.runs_table import stored_key
from passerelle.aws.table_items import Item, TableItems, kind_of, project_of, text
from passerelle.contracts.backup import (
    DATABASE,
    INDEX,
    ITEMS,
    BackupIndex,
    DatabaseCopy,
    ObjectEntry,
    Part,
    Served,
    blob_name,
    manifest_name,
)
from passerelle.contracts.runs import FINAL_STATUSES
from passerelle.domain.claim import claim_key
from passerelle.errors import NotFoundError, PasserelleError
from passerelle.steps.check_backup import read_index, read_manifest

PARALLEL: Final = 8
#: What is done, and how far: (stage, done, of how many).
Progress = Callable[[str, int, int], None]
#: Writes MLflow's database to the file, if it is dumped at all, and says what its copy is.
DumpDatabase = Callable[[str, Path], DatabaseCopy]
Known = dict[tuple[Any, ...], ObjectEntry]


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment as backup and restore see it. `buckets` maps store (zone, or MLflow's own) to bucket."""

    environment: str
    account: str
    region: str
    buckets: dict[str, str]
    table: str
    tracking_url: str
    clients: Callable[[str], Any]
    #: Project -> what its endpoint's status is, None when it has none.
    endpoint_status: Callable[[str], str | None]

    @property
    def items(self) -> TableItems:
        return TableItems(self.clients("dynamodb"), self.table)


@dataclass(frozen=True)
class BackedUp:
    """A finished backup, and how much of it had to be copied."""

    index: BackupIndex
    copied: int
    copied_bytes: int


def back_up(place: Place, store: BackupStore, dump: DumpDatabase, progress: Progress) -> BackedUp:
    """Make a backup; what an earlier one in the same store has is not copied again.

    Interrupted, it stays `incomplete`: no restore takes it, and the next backup uses what it has copied.
    """
    backup_id = f"b{datetime.now(UTC):%Y%m%d%H%M%S}"
    with TemporaryDirectory(prefix="passerelle-backup-") as work:
        return _Backup(place, store, Path(work), backup_id, progress).make(dump)


class _Backup:
    def __init__(self, place: Place, store: BackupStore, work: Path, backup_id: str, progress: Progress) -> None:
        self._place, self._store, self._work = place, store, work
        self._id, self._progress = backup_id, progress
        self._copied, self._copied_bytes, self._lock = 0, 0, Lock()

    def make(self, dump: DumpDatabase) -> BackedUp:
        place, started = self._place, _now()
        earlier = self._store.ids()
        index = BackupIndex(
            id=self._id,
            status="incomplete",
            created_at=started,
            environment=place.environment,
            account=place.account,
            region=place.region,
            buckets=place.buckets,
            table=place.table,
            tracking_url=place.tracking_url,
        )
        self._write_index(index)
        self._progress("runs table", 0, 1)
        items = place.items.all()
        parts = [self._write_lines(ITEMS, (json.dumps(item, sort_keys=True) for item in items))]
        served = tuple(self._served(items))
        self._progress("runs table", 1, 1)
        path = self._work / DATABASE
        database = dump(self._id, path)
        if path.exists():
            parts.append(self._write_part(DATABASE, path, entries=1))
        claimed = {str(item["sk"]["S"]) for item in items if kind_of(item) == "DROP"}
        blobs, total, size = self._store.blobs(), 0, 0
        for name, bucket in place.buckets.items():
            entries = self._copy(name, bucket, claimed, self._known(earlier, name), blobs)
            parts.append(self._write_lines(manifest_name(name), (entry.model_dump_json() for entry in entries)))
            total, size = total + len(entries), size + sum(entry.size for entry in entries)
        index = index.model_copy(
            update={
                "status": "complete",
                "completed_at": _now(),
                "table_restorable_from": place.items.restorable_from(),
                "parts": tuple(parts),
                "database": database,
                "served": served,
                "running": tuple(_running(items)),
                "objects": total,
                "bytes": size,
            }
        ).sealed()
        self._write_index(index)
        return BackedUp(index, self._copied, self._copied_bytes)

    # Objects

    def _copy(
        self, name: str, bucket: str, claimed: set[str], known: Known, blobs: dict[str, int]
    ) -> list[ObjectEntry]:
        """Return the entries of a bucket's versions that matter; their bytes are in the store then."""
        matter = [item for item in list_versions(self._place.clients("s3"), bucket) if _matters(item, name, claimed)]
        done = 0

        def copy(item: Listed) -> ObjectEntry | None:
            nonlocal done
            entry = self._entry(bucket, item, known, blobs)
            with self._lock:
                done += 1
                self._progress(name, done, len(matter))
            return entry

        self._progress(name, 0, len(matter))
        with ThreadPoolExecutor(PARALLEL) as pool:
            try:
                return [entry for entry in pool.map(copy, matter) if entry is not None]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _entry(self, bucket: str, item: Listed, known: Known, blobs: dict[str, int]) -> ObjectEntry | None:
        if item.deleted:
            return entry_of(item, size=0, sha256=None)
        before = known.get((bucket, *item.identity))
        if before is not None and before.sha256 is not None and blobs.get(before.sha256) == item.size:
            return before
        path = self._work / hashlib.sha256(repr((bucket, item.identity)).encode()).hexdigest()
        try:
            entry = download(self._place.clients("s3"), bucket, item, path)
            assert entry.sha256 is not None
            if blobs.get(entry.sha256) != entry.size:
                self._store.put(blob_name(entry.sha256), path)
                with self._lock:
                    self._copied, self._copied_bytes = self._copied + 1, self._copied_bytes + entry.size
            return entry
        except NotFoundError:
            return None  # deleted since it was listed: it does not exist any more, so a backup without it is right
        finally:
            path.unlink(missing_ok=True)

    def _known(self, earlier: Sequence[str], name: str) -> Known:
        """Return what earlier backups, also unfinished ones, have of a bucket."""
        found: Known = {}
        for backup_id in earlier:
            try:
                bucket = read_index(self._store, backup_id).buckets.get(name)
            except PasserelleError:
                continue  # a damaged index, or a newer one: nothing is known from it, and everything is copied
            for entry in read_manifest(self._store, backup_id, name) if bucket else ():
                identity = (entry.key, entry.version_id, entry.etag, entry.size, entry.last_modified)
                found[(bucket, *identity)] = entry
        return found

    # What is served

    def _served(self, items: Iterable[Item]) -> Iterable[Served]:
        for item in items:
            if kind_of(item) == "CHAMPION":
                yield Served(
                    project=project_of(item),
                    run_id=text(item, "run_id") or "",
                    model_version=text(item, "model_version") or "",
                    model_data_url=text(item, "model_data_url") or "",
                    endpoint_name=text(item, "endpoint_name") or "",
                    endpoint_status=self._place.endpoint_status(project_of(item)),
                )

    # Files of the backup

    def _write_index(self, index: BackupIndex) -> None:
        path = self._work / INDEX
        path.write_text(index.model_dump_json(indent=2), encoding="utf-8")
        self._store.put(f"{self._id}/{INDEX}", path)

    def _write_lines(self, name: str, lines: Iterable[str]) -> Part:
        path = self._work / name.replace("/", "-")
        written = list(lines)
        path.write_text("".join(f"{line}\n" for line in written), encoding="utf-8")
        return self._write_part(name, path, entries=len(written))

    def _write_part(self, name: str, path: Path, *, entries: int) -> Part:
        digest, size = hashlib.sha256(), path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(1024 * 1024):
                digest.update(chunk)
        self._store.put(f"{self._id}/{name}", path)
        return Part(name=name, sha256=digest.hexdigest(), size=size, entries=entries)


def _matters(item: Listed, store: str, claimed: set[str]) -> bool:
    """Keys of all other zones name a run or a content; in the raw zone runs pin older versions, and read them again."""
    if item.current:
        return True
    return (
        store == "raw" and not item.deleted and stored_key(claim_key(item.key, item.version_id, item.etag)) in claimed
    )


def _running(items: Iterable[Item]) -> Iterable[str]:
    for item in items:
        if kind_of(item) == "RUN":
            # Not read as a RunRecord: a command line that is older than the platform must still be able to back it up.
            record = json.loads(text(item, "record") or "{}")
            if record.get("status") not in FINAL_STATUSES:
                yield str(item["sk"]["S"]).partition("#")[2]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
