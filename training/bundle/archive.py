"""Unpack a .tar.gz that came from S3 as if it were hostile: no path outside, no links, no bombs."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Final

from passerelle.errors import BundleError

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 20 * 1024**3


def unpack(archive: Path, target: Path) -> Path:
    """Unpack into a folder.

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
                if not (member.isfile() or member.isdir()):
                    raise BundleError(f"{archive.name}: {member.name!r} is neither file nor folder.")
                tar.extract(member, target, filter="data")
    except BundleError:
        raise
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BundleError(f"{archive.name}: not a sound .tar.gz archive: {error}") from error
    return target
