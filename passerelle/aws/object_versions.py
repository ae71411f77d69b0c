"""The versions of a bucket's objects: listed as a backup keeps them, and put back as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import is_transient
from passerelle.aws.objects import Objects
from passerelle.contracts.backup import ObjectEntry
from passerelle.errors import NotFoundError, PasserelleError, SettingsError, TransientError

#: Metadata of a restored object: which version it is a copy of. It tells a second try what the first has done.
MARK: Final = "passerelle-restored"
#: One PutObject takes at most 5 GB (S3 user guide, "Uploading objects").
_ONE_PUT_BYTES: Final = 5_000_000_000


@dataclass(frozen=True)
class Listed:
    """One version as a listing has it, before its bytes are known."""

    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: str
    current: bool
    deleted: bool

    @property
    def identity(self) -> tuple[str, str | None, str, int, str]:
        """What makes it the same bytes as in an earlier backup, without reading them."""
        return self.key, self.version_id, self.etag, self.size, self.last_modified


def list_versions(s3: Any, bucket: str) -> list[Listed]:
    """Return every version and delete marker, by key, and within a key oldest first."""
    found: dict[str, list[Listed]] = {}
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for kind in ("Versions", "DeleteMarkers"):
                for item in page.get(kind, ()):
                    found.setdefault(item["Key"], []).append(_listed(item, deleted=kind == "DeleteMarkers"))
    except (ClientError, BotoCoreError) as error:
        raise translate(error, f"s3://{bucket}") from error
    # The newest is said to be so; the others go by their time, and S3 lists those of one second newest first.
    ordered = []
    for key in sorted(found):
        oldest_first = found[key][::-1]
        oldest_first.sort(key=lambda item: (item.current, item.last_modified))
        ordered += oldest_first
    return ordered


def _listed(item: dict[str, Any], *, deleted: bool) -> Listed:
    version = item.get("VersionId")
    moment: datetime = item["LastModified"]
    return Listed(
        key=item["Key"],
        version_id=None if version in (None, "null") else version,
        etag=str(item.get("ETag", "")).strip('"'),
        size=int(item.get("Size", 0)),
        last_modified=moment.isoformat(),
        current=bool(item["IsLatest"]),
        deleted=deleted,
    )


def download(s3: Any, bucket: str, item: Listed, path: Path) -> ObjectEntry:
    """Write a version to a file; returns its entry. Raises NotFoundError when it has been deleted meanwhile."""
    objects, digest, size = Objects(s3), hashlib.sha256(), 0
    head = objects.head(bucket, item.key, item.version_id)
    with path.open("wb") as file:
        for chunk in objects.chunks(bucket, item.key, item.version_id):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
    metadata = {name: value for name, value in head.get("Metadata", {}).items() if name != MARK}
    return entry_of(item, size=size, sha256=digest.hexdigest()).model_copy(
        update={"content_type": head.get("ContentType"), "metadata": metadata}
    )


def entry_of(item: Listed, *, size: int, sha256: str | None) -> ObjectEntry:
    """Return the entry of a version whose bytes are known; a delete marker has none."""
    return ObjectEntry(
        key=item.key,
        version_id=item.version_id,
        etag=item.etag,
        size=size,
        last_modified=item.last_modified,
        sha256=sha256,
    )


class Restorer:
    """Puts versions back into one bucket; what an interrupted try has put there already stays as it is."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._there: dict[str, list[Listed]] = {}
        for item in list_versions(s3, bucket):
            self._there.setdefault(item.key, []).append(item)

    def restore(
        self, entries: Sequence[ObjectEntry], fetch: Callable[[ObjectEntry], Path]
    ) -> Iterator[tuple[ObjectEntry, str | None]]:
        """Put the versions of one key back, oldest first; yields each with the version that it now has."""
        key = entries[0].key
        done = self._restored(key)
        for entry in entries:
            if entry.sha256 is None:
                self._delete(key)
                continue
            mark = mark_of(entry)
            if mark not in done:
                path = fetch(entry)
                try:
                    done[mark] = self._put(entry, path, mark)
                finally:
                    path.unlink(missing_ok=True)
            yield entry, done[mark]

    def _restored(self, key: str) -> dict[str, str | None]:
        """Return mark -> version of what is there from a try before."""
        objects, found = Objects(self._s3), {}
        for item in self._there.get(key, ()):
            if not item.deleted:
                head = objects.head(self._bucket, key, item.version_id)
                found[head.get("Metadata", {}).get(MARK, "")] = item.version_id
        return found

    def _put(self, entry: ObjectEntry, path: Path, mark: str) -> str | None:
        extra: dict[str, Any] = {"Metadata": {**entry.metadata, MARK: mark}}
        if entry.content_type:
            extra["ContentType"] = entry.content_type
        place = f"s3://{self._bucket}/{entry.key}"
        try:
            if entry.size > _ONE_PUT_BYTES:
                self._s3.upload_file(str(path), self._bucket, entry.key, ExtraArgs=extra)
                answer = self._s3.head_object(Bucket=self._bucket, Key=entry.key)
            else:
                with path.open("rb") as body:
                    answer = self._s3.put_object(Bucket=self._bucket, Key=entry.key, Body=body, **extra)
        except (ClientError, BotoCoreError) as error:
            raise translate(error, place) from error
        version = answer.get("VersionId")
        return None if version in (None, "null") else str(version)

    def _delete(self, key: str) -> None:
        there = self._there.get(key, ())
        if not (there and there[-1].deleted):
            self._s3.delete_object(Bucket=self._bucket, Key=key)


def mark_of(entry: ObjectEntry) -> str:
    """Return what a restored object says it is a copy of."""
    return f"{entry.sha256}/{entry.version_id or entry.last_modified}"


def translate(error: Exception, place: str) -> PasserelleError:
    """Return what S3's error means for who backs up or restores."""
    if isinstance(error, ClientError):
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchKey", "404"):
            return NotFoundError(f"{place} does not exist: {error}")
        if not is_transient(error):
            return SettingsError(f"{place}: S3 refuses: {error}")
    return TransientError(f"{place}: S3 does not answer: {error}. Run the same command again; it goes on.")
