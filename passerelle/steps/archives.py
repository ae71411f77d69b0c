"""Read what our own jobs packed, without trusting it."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Collection, Iterator
from typing import Any

from passerelle.aws.objects import Objects
from passerelle.errors import BundleError


def read_member(objects: Objects, bucket: str, key: str, name: str) -> bytes | None:
    """Return one file of a .tar.gz object, None when it holds none of that name.

    Raises as read_members.
    """
    return read_members(objects, bucket, key, (name,)).get(name)


def read_members(objects: Objects, bucket: str, key: str, names: Collection[str]) -> dict[str, bytes]:
    """Return those files of a .tar.gz object that it holds, by name. Never holds the archive in memory.

    Raises NotFoundError when the object is gone, BundleError when the archive is not sound.
    """
    found = dict[str, bytes]()
    stream = io.BufferedReader(_Stream(objects.chunks(bucket, key)))
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                file = tar.extractfile(member) if member.isfile() and name in names and name not in found else None
                if file:
                    found[name] = file.read()
                if len(found) == len(names):
                    break
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BundleError(f"s3://{bucket}/{key}: not a sound .tar.gz archive: {error}") from error
    return found


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
