"""S3 objects: read pinned by version, write, in streams."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from passerelle.aws.clients import is_transient
from passerelle.errors import NotFoundError, TransientError

CHUNK_BYTES: Final = 4 * 1024 * 1024
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404", "MethodNotAllowed", "405"})


@dataclass(frozen=True)
class Listed:
    """An object as a listing has it."""

    key: str
    bytes: int
    modified: datetime


class Objects:
    """S3 through one client."""

    def __init__(self, client: Any | None = None) -> None:
        self._client = client if client is not None else boto3.client("s3")

    def chunks(self, bucket: str, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """Yield an object's bytes in pieces of 4 MiB.

        Raises NotFoundError when the object or that version is gone, TransientError when S3 does not answer.
        """
        pinned = {"VersionId": version_id} if version_id else {}
        with _asking(bucket, key, version_id):
            body = self._client.get_object(Bucket=bucket, Key=key, **pinned)["Body"]
            yield from body.iter_chunks(CHUNK_BYTES)

    def read(self, bucket: str, key: str, version_id: str | None = None) -> bytes:
        """Return a small object whole."""
        return b"".join(self.chunks(bucket, key, version_id))

    def download(self, bucket: str, key: str, path: Path, version_id: str | None = None) -> Path:
        """Write an object to a file; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            for chunk in self.chunks(bucket, key, version_id):
                file.write(chunk)
        return partial.replace(path)

    def sha256(self, bucket: str, key: str, version_id: str | None = None) -> str:
        """Return the SHA-256 of an object's bytes, read in a stream."""
        digest = hashlib.sha256()
        for chunk in self.chunks(bucket, key, version_id):
            digest.update(chunk)
        return digest.hexdigest()

    def holds(self, bucket: str, key: str, sha256: str) -> bool:
        """Return whether an object is there and has these bytes."""
        try:
            return self.sha256(bucket, key) == sha256
        except NotFoundError:
            return False

    def write(self, bucket: str, key: str, body: bytes, *, content_type: str = "application/json") -> None:
        """Write a small object."""
        with _asking(bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def write_file(self, bucket: str, key: str, path: Path, sha256: str) -> None:
        """Write a file of at most 5 GB; S3 itself refuses bytes of another SHA-256 (API reference, PutObject)."""
        with _asking(bucket, key), path.open("rb") as body:
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            self._client.put_object(Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum)

    def copy(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object of at most 5 GB inside S3 (API reference, CopyObject).

        Raises NotFoundError when it is gone.
        """
        with _asking(bucket, key):
            self._client.copy_object(Bucket=to_bucket, Key=to_key, CopySource={"Bucket": bucket, "Key": key})

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; where the bucket keeps versions, it can be brought back."""
        with _asking(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)

    def head(self, bucket: str, key: str, version_id: str | None = None) -> dict[str, Any]:
        """Return HeadObject's answer.

        Raises NotFoundError when the object is gone.
        """
        pinned = {"VersionId": version_id} if version_id else {}
        with _asking(bucket, key, version_id):
            return dict(self._client.head_object(Bucket=bucket, Key=key, **pinned))

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys below a prefix, in S3's order.

        Raises NotFoundError when the bucket is gone, TransientError when S3 does not answer.
        """
        return (key for key, _ in self.sizes(bucket, prefix))

    def sizes(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the keys below a prefix with their bytes; order and errors as for `keys`."""
        return ((item.key, item.bytes) for item in self.listed(bucket, prefix))

    def listed(self, bucket: str, prefix: str = "") -> Iterator[Listed]:
        """Yield what lies below a prefix; order and errors as for `keys`."""
        with _asking(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    yield Listed(item["Key"], int(item["Size"]), item["LastModified"])


@contextmanager
def _asking(bucket: str, key: str, version_id: str | None = None) -> Iterator[None]:
    """Let what S3 says be ours: NotFoundError for what is gone, TransientError where it does not answer."""
    try:
        yield
    except ClientError as error:
        raise _translate(error, bucket, key, version_id) from error
    except BotoCoreError as error:
        raise TransientError(f"s3://{bucket}/{key}: S3 does not answer: {error}") from error


def _translate(error: ClientError, bucket: str, key: str, version_id: str | None) -> Exception:
    code = error.response["Error"]["Code"]
    if code in _GONE:
        version = f" (version {version_id})" if version_id else ""
        return NotFoundError(f"s3://{bucket}/{key}{version} is gone: it was deleted, or its bucket was.")
    if is_transient(error):
        return TransientError(f"s3://{bucket}/{key}: {error}")
    return error
