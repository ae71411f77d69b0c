"""Between S3 and a job's folder: download prefixes, upload folders and archives, keep checkpoints in step."""

from __future__ import annotations

import shutil
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from passerelle.contracts.zones import split_s3_uri

_PARALLEL: Final = 4


class TransferError(Exception):
    """S3 has not what the job needs, or refuses what it gives; the text becomes FailureReason."""


def list_keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Return the object keys below a prefix, folder markers left out."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", ()) if not item["Key"].endswith("/")]


def download_prefix(s3: Any, uri: str, target: Path) -> int:
    """Download every object below an S3 prefix, as S3DataType S3Prefix means it; returns how many.

    The path below the last `/` of the prefix is kept. Raises TransferError when there is nothing.
    """
    bucket, prefix = split_s3_uri(uri)
    try:
        keys = list_keys(s3, bucket, prefix)
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"ClientError: Failed to list S3 objects under {uri}: {error}") from error
    if not keys:
        raise TransferError(
            f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source. '
            "Please ensure that the bucket exists in the selected region, that objects exist under that S3 prefix."
        )
    base = prefix if prefix.endswith("/") else prefix.rpartition("/")[0]
    places = [(key, target / key[len(base) :].lstrip("/")) for key in keys]
    for _, path in places:
        if not path.resolve().is_relative_to(target.resolve()):
            raise TransferError(f"ClientError: an object key under {uri} leads outside its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(lambda place: _download(s3, bucket, *place), places))
    return len(places)


def _download(s3: Any, bucket: str, key: str, path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        s3.download_file(bucket, key, str(partial))
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"ClientError: Failed to download s3://{bucket}/{key}: {error}") from error
    partial.replace(path)


def upload_folder(s3: Any, folder: Path, uri: str) -> None:
    """Upload every file of a folder below an S3 prefix."""
    bucket, prefix = split_s3_uri(uri.rstrip("/"))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]

    def upload(path: Path) -> None:
        upload_file(s3, path, f"s3://{bucket}/{prefix}/{path.relative_to(folder).as_posix()}")

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(upload, files))


def upload_file(s3: Any, path: Path, uri: str) -> None:
    """Upload one file."""
    bucket, key = split_s3_uri(uri)
    try:
        s3.upload_file(str(path), bucket, key)
    except (ClientError, BotoCoreError, OSError) as error:
        raise TransferError(f"ClientError: Failed to upload {uri}: {error}") from error
    except Exception as error:  # boto3's S3UploadFailedError is not a ClientError
        raise TransferError(f"ClientError: Failed to upload {uri}: {error}") from error


def upload_archive(s3: Any, folder: Path, uri: str) -> bool:
    """Upload a folder's content as .tar.gz; returns False when it is empty."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    archive = folder.parent / f".{folder.name}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
    upload_file(s3, archive, uri)
    archive.unlink()
    return True


class CheckpointSync:
    """Copies a folder's files to S3 while they change, as SageMaker does, and brings them back."""

    def __init__(self, s3: Callable[[], Any], folder: Path, uri: str, *, every_seconds: float = 1.0) -> None:
        self._s3, self._folder, self._uri, self._every = s3, folder, uri.rstrip("/"), every_seconds
        self._sent: dict[Path, tuple[float, int]] = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="checkpoint-sync", daemon=True)

    def restore(self) -> None:
        """Fill the folder from S3; an empty prefix is a first start."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        bucket, prefix = split_s3_uri(self._uri)
        if list_keys(self._s3(), bucket, prefix + "/"):
            download_prefix(self._s3(), self._uri + "/", self._folder)
        self._sent = {path: _stamp(path) for path in self._folder.rglob("*") if path.is_file()}

    def begin(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Copy what has changed since the last time, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.sync()

    def sync(self) -> None:
        """Copy changed files; a file that vanishes or changes meanwhile comes with the next round."""
        bucket, prefix = split_s3_uri(self._uri)
        with self._lock:
            for path in sorted(self._folder.rglob("*")):
                try:
                    if not path.is_file() or self._sent.get(path) == (stamp := _stamp(path)):
                        continue
                    key = f"{prefix}/{path.relative_to(self._folder).as_posix()}"
                    upload_file(self._s3(), path, f"s3://{bucket}/{key}")
                    self._sent[path] = stamp
                except (FileNotFoundError, TransferError):
                    continue

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.sync()


def _stamp(path: Path) -> tuple[float, int]:
    status = path.stat()
    return status.st_mtime, status.st_size
