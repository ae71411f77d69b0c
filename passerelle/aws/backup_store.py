"""Where backups lie: a folder, or a prefix of a bucket. What is written appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from passerelle.aws.objects import Objects
from passerelle.contracts.backup import INDEX, OBJECTS
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import BundleError, NotFoundError, SettingsError

CHUNK_BYTES: Final = 4 * 1024 * 1024


class BackupStore(Protocol):
    """A place for backups; `name` is a path below it."""

    @property
    def address(self) -> str: ...

    def put(self, name: str, path: Path) -> None:
        """Take a file in; `path` may be gone afterwards."""

    def blobs(self) -> dict[str, int]:
        """Return the SHA-256 of all objects whose bytes lie there, with their sizes."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what lies there. Raises BundleError when it is missing."""

    def ids(self) -> list[str]:
        """Return the ids of all backups, oldest first."""


class FolderStore:
    """Backups in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        return str(self._folder)

    def put(self, name: str, path: Path) -> None:
        target = self._folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.partial-{os.getpid()}-{path.name}")
            # The work folder may be on another file system, from where nothing can be renamed.
            shutil.copyfile(path, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            raise SettingsError(f"{target} could not be written: {error.strerror or error}.") from error

    def blobs(self) -> dict[str, int]:
        found = (self._folder / OBJECTS).glob("??/*")
        return {path.name: path.stat().st_size for path in found if ".partial-" not in path.name}

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with (self._folder / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise BundleError(_missing(f"{self._folder / name}")) from error

    def ids(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob(f"*/{INDEX}"))


class BucketStore:
    """Backups below a prefix of a bucket, for example one in another account."""

    def __init__(self, client: Any, uri: str) -> None:
        self._client, self.address = client, uri.rstrip("/")
        self._bucket, self._prefix = split_s3_uri(self.address)
        if not self._bucket:
            raise SettingsError(f"{uri} names no bucket; write s3://bucket/prefix.")
        self._objects = Objects(client)

    def put(self, name: str, path: Path) -> None:
        self._client.upload_file(str(path), self._bucket, self._key(name))

    def blobs(self) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._key(f"{OBJECTS}/")
        )
        return {item["Key"].rpartition("/")[2]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._objects.chunks(self._bucket, self._key(name))
        except NotFoundError as error:
            raise BundleError(_missing(f"{self.address}/{name}")) from error

    def ids(self) -> list[str]:
        start = len(self._key(""))
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._key(""), Delimiter="/"
        )
        folders = [item["Prefix"][start:].rstrip("/") for page in pages for item in page.get("CommonPrefixes", ())]
        return sorted(name for name in folders if name != OBJECTS)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def open_store(address: str, s3: Callable[[], Any]) -> BackupStore:
    """Return the store at an `s3://` address or in a folder."""
    return BucketStore(s3(), address) if address.startswith("s3://") else FolderStore(Path(address).resolve())


def fetch(store: BackupStore, name: str, path: Path, *, sha256: str) -> Path:
    """Write what lies in a store to a file.

    Raises BundleError naming it when it is missing, or not what it was when it was backed up.
    """
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in store.chunks(name):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != sha256:
        raise BundleError(damaged(f"{store.address}/{name}"))
    return path


def damaged(place: str) -> str:
    """Return what is said of a file whose bytes have changed."""
    return (
        f"{place} is damaged: its bytes are not those that were backed up. Nothing of this backup is restored; take it "
        "from another copy, or take an earlier backup with --backup."
    )


def _missing(place: str) -> str:
    return (
        f"{place} is missing: the backup is not whole. Take it from another copy, or an earlier backup with --backup."
    )
