"""What a .tar.gz between jobs, registry and servers may hold: files and folders below its root, nothing else."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from passerelle.errors import BundleError

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 20 * 1024**3


def unpack(archive: Path, target: Path) -> Path:
    """Unpack an archive into a folder as if it were hostile; its owners and modes are not taken over.

    Written out, because `tarfile`'s own filters came with Python 3.11.4 and stable distributions ship older ones.
    Raises BundleError when the archive is corrupt, or holds a link, a device, a path outside, or too much.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            total = 0
            for count, member in enumerate(tar, start=1):
                total += member.size
                if count > MAX_FILES or total > MAX_BYTES:
                    raise BundleError(f"{archive.name}: more than {MAX_FILES:,} files or {MAX_BYTES:,} bytes.")
                _extract(tar, member, target, archive.name)
    except BundleError:
        raise
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise BundleError(f"{archive.name}: not a sound .tar.gz archive: {error}") from error
    return target


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, archive: str) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise BundleError(f"{archive}: {member.name!r} lies outside of it.")
    if member.isdir():
        (target / path).mkdir(parents=True, exist_ok=True)
        return
    if not member.isfile():
        raise BundleError(f"{archive}: {member.name!r} is neither file nor folder.")
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None, "a file has content"
    with content, (target / path).open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
