"""The list by which a job reads just some objects (API reference, S3DataSource and TransformS3DataSource)."""

from __future__ import annotations

import json
from collections.abc import Iterable


def manifest(prefix_uri: str, names: Iterable[str]) -> bytes:
    """Return a ManifestFile of objects, each named by what follows the prefix in its key."""
    return json.dumps([{"prefix": prefix_uri}, *names]).encode()
