"""Unpack what our own jobs packed, without trusting it."""

from __future__ import annotations

import tarfile
from pathlib import Path

from passerelle.errors import BundleError


def unpack_output(archive: Path, target: Path) -> Path:
    """Unpack a job's output.tar.gz; nothing lands outside `target`.

    Raises BundleError when the archive is not sound.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BundleError(f"{archive.name}: not a sound .tar.gz archive: {error}") from error
    return target
