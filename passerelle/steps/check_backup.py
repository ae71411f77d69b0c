"""Read a backup, and find out whether it is whole and unchanged before anything is done with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pydantic import ValidationError

from passerelle.aws.backup_store import BackupStore, damaged
from passerelle.aws.table_items import Item
from passerelle.contracts.backup import FORMAT, INDEX, ITEMS, BackupIndex, ObjectEntry, blob_name, manifest_name
from passerelle.errors import BundleError, InputError, NotFoundError

_PARALLEL: Final = 8


def read_index(store: BackupStore, backup_id: str) -> BackupIndex:
    """Return what a backup says of itself, complete or not.

    Raises BundleError when it cannot be read, InputError when a newer release wrote it.
    """
    place = f"{store.address}/{backup_id}/{INDEX}"
    try:
        document = json.loads(b"".join(store.chunks(f"{backup_id}/{INDEX}")))
        written = int(document["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(damaged(place)) from error
    if written > FORMAT:
        raise InputError(
            f"{place} has format {written}; this release reads up to {FORMAT}. Restore with the release that made the "
            "backup, or a newer one."
        )
    try:
        return BackupIndex.model_validate(document)
    except ValidationError as error:
        raise BundleError(damaged(place)) from error


def choose(store: BackupStore, backup_id: str | None) -> BackupIndex:
    """Return the named backup, or the newest.

    Raises NotFoundError when there is none, InputError when it is incomplete, BundleError when its index was changed.
    """
    ids = store.ids()
    if not ids or (backup_id is not None and backup_id not in ids):
        what = f"no backup {backup_id}" if backup_id else "no backup"
        raise NotFoundError(f"There is {what} in {store.address} (backups: {', '.join(ids) or 'none'}).")
    index = read_index(store, backup_id or ids[-1])
    if index.status != "complete":
        others = [name for name in ids if name != index.id and read_index(store, name).status == "complete"]
        raise InputError(
            f"Backup {index.id} in {store.address} is incomplete: it was interrupted, so parts of it are missing. "
            + (f"Take an earlier one: --backup {others[-1]}." if others else "There is no complete one; back up again.")
        )
    if not index.is_intact:
        raise BundleError(damaged(f"{store.address}/{index.id}/{INDEX}"))
    return index


def read_manifest(store: BackupStore, backup_id: str, name: str) -> list[ObjectEntry]:
    """Return the objects of one store, none where an interrupted backup has not come that far."""
    try:
        lines = b"".join(store.chunks(f"{backup_id}/{manifest_name(name)}")).splitlines()
        return [ObjectEntry.model_validate_json(line) for line in lines]
    except BundleError:
        return []
    except ValidationError as error:
        raise BundleError(damaged(f"{store.address}/{backup_id}/{manifest_name(name)}")) from error


def read_items(store: BackupStore, index: BackupIndex) -> list[Item]:
    """Return the items of the runs table."""
    return [json.loads(line) for line in b"".join(store.chunks(f"{index.id}/{ITEMS}")).splitlines()]


def verify(store: BackupStore, index: BackupIndex, progress: Callable[[int, int], None]) -> int:
    """Recompute the digest of every file of a backup; returns how many there are.

    Raises BundleError naming the file that is missing or damaged, and what it holds.
    """
    for part in index.parts:
        if _digest(store, f"{index.id}/{part.name}") != part.sha256:
            raise BundleError(damaged(f"{store.address}/{index.id}/{part.name}"))
    holds = dict(_blobs(store, index))
    done = 0

    def check(item: tuple[str, str]) -> None:
        nonlocal done
        sha256, what = item
        if _digest(store, blob_name(sha256)) != sha256:
            raise BundleError(f"{damaged(f'{store.address}/{blob_name(sha256)}')} It holds {what}.")
        done += 1
        progress(done, len(holds))

    progress(0, len(holds))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        try:
            for _ in pool.map(check, holds.items()):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(holds) + len(index.parts)


def _blobs(store: BackupStore, index: BackupIndex) -> Iterator[tuple[str, str]]:
    for name, bucket in index.buckets.items():
        for entry in read_manifest(store, index.id, name):
            if entry.sha256 is not None:
                yield entry.sha256, f"s3://{bucket}/{entry.key}"


def _digest(store: BackupStore, name: str) -> str:
    digest = hashlib.sha256()
    for chunk in store.chunks(name):
        digest.update(chunk)
    return digest.hexdigest()
