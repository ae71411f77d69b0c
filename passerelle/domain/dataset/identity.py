"""What a dataset is: the newest accepted version of every raw file, under one contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from passerelle.contracts.container import DatasetFile


def merge_files(earlier: Iterable[DatasetFile], new: Iterable[DatasetFile]) -> tuple[DatasetFile, ...]:
    """Return the files of the next dataset: a new file replaces an earlier one of the same key. Sorted by key."""
    by_key = {file.key: file for file in earlier} | {file.key: file for file in new}
    return tuple(by_key[key] for key in sorted(by_key))


def dataset_id(files: Iterable[DatasetFile], contract_hash: str) -> str:
    """Return 16 hex digits that depend on the bytes of every file and on the contract, not on order or time."""
    content = sorted((file.key, file.sha256) for file in files)
    return hashlib.sha256(json.dumps([contract_hash, content]).encode()).hexdigest()[:16]
