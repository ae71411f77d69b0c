"""Read what our own jobs packed, without trusting it."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

from passerelle.aws.objects import Objects
from passerelle.errors import BundleError


def read_member(objects: Objects, bucket: str, key: str, name: str) -> bytes | None:
    """Return one file of a .tar.gz object, None when it holds none of that name. Never holds the archive in memory.

    Raises NotFoundError when the object is gone, BundleError when the archive is not sound.
    """
    stream = io.BufferedReader(_Stream(objects.chunks(bucket, key)))
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as tar:
            for member in tar:
                if member.isfile() and member.name.removeprefix("./") == name:
                    file = tar.extractfile(member)
                    return file.read() if file else None
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BundleError(f"s3://{bucket}/{key}: not a sound .tar.gz archive: {error}") from error
    return None


class _Stream(io.RawIOBase):
    """Chunks as a file that is read forward."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer)
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        taken = min(len(target), len(self._rest))
        target[:taken], self._rest = self._rest[:taken], self._rest[taken:]
        return taken
