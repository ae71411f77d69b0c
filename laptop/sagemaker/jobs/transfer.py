"""Between S3 and a job's folder: download prefixes, upload folders and archives, keep checkpoints in step."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tarfile
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from laptop.surroundings import RefusedError, Surroundings
from passerelle.contracts.zones import split_s3_uri

LOG: Final = logging.getLogger(__name__)
_PARALLEL: Final = 4


class TransferError(Exception):
    """S3 has not what the job needs, or refuses what it gives; the text becomes FailureReason."""


class Cancelled(Exception):  # noqa: N818 — an order that is obeyed, not an error
    """The job was stopped, or the platform closes, while data was on its way."""


def act_as(surroundings: Surroundings, role: str) -> Any:
    """Return S3 as a role sees it.

    Raises TransferError when SageMaker may not take it on.
    """
    try:
        return surroundings.s3(role)
    except RefusedError as error:
        raise TransferError(f"ClientError: {error}") from error


def list_keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Return the object keys below a prefix, folder markers left out.

    Raises TransferError when S3 refuses.
    """
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
    except (ClientError, BotoCoreError) as error:
        raise TransferError(f"ClientError: Failed to list S3 objects under s3://{bucket}/{prefix}: {error}") from error


def join_uri(uri: str, *parts: str) -> str:
    """Return an S3 URI below another, which may be a bare bucket or end in a slash."""
    return "/".join((uri.rstrip("/"), *parts))


def relative_path(key: str, prefix: str) -> str:
    """Return where an object of a prefix lies below its channel's folder.

    `data/train` and `data/train/` both put `data/train/a.csv` at `a.csv`, as the SageMaker SDK relies on: its
    `upload_data` answers a folder without the slash. A prefix that is no folder (`data/part-`, or an object's whole
    key) keeps what follows its last slash.
    """
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    base = len(folder) if key.startswith(folder) else prefix.rfind("/") + 1
    return key[base:].lstrip("/")


def download_prefix(s3: Any, uri: str, target: Path, *, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Download every object below an S3 prefix, as S3DataType S3Prefix means it; returns how many.

    Raises TransferError when there is nothing or S3 refuses; Cancelled, between two objects, when `cancelled` says so.
    """
    bucket, prefix = split_s3_uri(uri)
    keys = list_keys(s3, bucket, prefix)
    if not keys:
        raise TransferError(
            f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source. '
            "Please ensure that the bucket exists in the selected region, that objects exist under that S3 prefix."
        )
    places = [(key, target / relative_path(key, prefix)) for key in keys]
    return _download_all(s3, uri, bucket, places, target, cancelled)


def download_manifest(s3: Any, uri: str, target: Path, *, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Download the objects that a manifest names, as S3DataType ManifestFile means it; returns how many.

    Raises TransferError when it cannot be read or S3 refuses; Cancelled as for a prefix.
    """
    bucket, listed = read_manifest(s3, uri)
    places = [(key, target / relative) for key, relative in listed]
    return _download_all(s3, uri, bucket, places, target, cancelled)


def read_manifest(s3: Any, uri: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the bucket of a manifest's objects, and each one's key with the part of it that the manifest names.

    The form is that of S3DataSource's documentation: `[{"prefix": "s3://bucket/a/"}, "b", "c/d"]`.
    Raises TransferError when there is none, or it is of another form.
    """
    bucket, key = split_s3_uri(uri)
    try:
        document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError, FileNotFoundError) as error:
        raise TransferError(f"ClientError: Failed to download the manifest file {uri}: {error}") from error
    except ValueError as error:
        raise TransferError(f"ClientError: The manifest file {uri} is not JSON: {error}") from error
    head = document[0] if isinstance(document, list) and document else None
    prefix = head.get("prefix") if isinstance(head, dict) else None
    if not isinstance(prefix, str) or not prefix.startswith("s3://"):
        raise TransferError(f'ClientError: The manifest file {uri} must begin with {{"prefix": "s3://…"}}')
    names = document[1:]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TransferError(f"ClientError: The manifest file {uri} must name at least one object, each as a string")
    bucket, base = split_s3_uri(prefix)
    return bucket, [(base + name, name.lstrip("/")) for name in names]


def _download_all(
    s3: Any, uri: str, bucket: str, places: list[tuple[str, Path]], target: Path, cancelled: Callable[[], bool]
) -> int:
    _check_places(uri, places, target)

    def download(place: tuple[str, Path]) -> None:
        if cancelled():
            raise Cancelled
        _download(s3, bucket, *place)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(download, places))
    return len(places)


def _check_places(uri: str, places: list[tuple[str, Path]], target: Path) -> None:
    """Every object has a place of its own below the folder, or the job fails as it does on a real volume."""
    taken: dict[Path, str] = {}
    for key, path in places:
        if not path.resolve().is_relative_to(target.resolve()):
            raise TransferError(f"ClientError: an object key under {uri} leads outside its folder")
        if path in taken:
            raise TransferError(f"ClientError: {taken[path]} and {key} under {uri} would be the same file")
        taken[path] = key


def _download(s3: Any, bucket: str, key: str, path: Path) -> None:
    # A name that no other object of the prefix can have, whatever suffix its programs give to unfinished files.
    unfinished = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(unfinished))
        unfinished.replace(path)
    except (ClientError, BotoCoreError, Boto3Error, OSError) as error:
        raise TransferError(f"ClientError: Failed to download s3://{bucket}/{key}: {error}") from error


def upload_folder(s3: Any, folder: Path, uri: str) -> None:
    """Upload every file of a folder below an S3 prefix."""

    def upload(path: Path) -> None:
        upload_file(s3, path, join_uri(uri, path.relative_to(folder).as_posix()))

    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(upload, files_in(folder)))


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, also one that changes meanwhile."""
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.is_file())


def upload_file(s3: Any, path: Path, uri: str) -> None:
    """Upload one file."""
    bucket, key = split_s3_uri(uri)
    try:
        s3.upload_file(str(path), bucket, key)
    except Exception as error:  # botocore's, boto3's and the file system's: whatever it is, the file is not there
        raise TransferError(f"ClientError: Failed to upload {uri}: {error}") from error


def upload_archive(s3: Any, folder: Path, uri: str) -> bool:
    """Upload a folder's content as .tar.gz; returns False when it is empty."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    archive = folder.parent / f".{folder.name}.tar.gz"
    try:
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name)
        upload_file(s3, archive, uri)
    except OSError as error:
        raise TransferError(f"ClientError: Failed to pack {uri}: {error}") from error
    finally:
        archive.unlink(missing_ok=True)
    return True


class CheckpointSync:
    """Copies a folder's files to S3 while they change, as SageMaker does, and brings them back."""

    def __init__(self, s3: Callable[[], Any], folder: Path, uri: str, *, every_seconds: float = 1.0) -> None:
        self._s3, self._folder, self._uri, self._every = s3, folder, uri, every_seconds
        self._sent: dict[Path, tuple[float, int]] = {}
        self._said = ""
        self._say: Callable[[str], None] = LOG.warning
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="checkpoint-sync", daemon=True)

    def restore(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Fill the folder from S3; an empty prefix is a first start."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        place = join_uri(self._uri, "")
        if list_keys(self._s3(), *split_s3_uri(place)):
            download_prefix(self._s3(), place, self._folder, cancelled=cancelled)
        self._sent = {path: _stamp(path) for path in files_in(self._folder)}

    def begin(self, say: Callable[[str], None]) -> None:
        """Copy from now on; what fails is told in the job's log through `say`, once, and tried again."""
        self._say = say
        self._thread.start()

    def finish(self) -> None:
        """Copy what has changed since the last time, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.sync()

    def sync(self) -> None:
        """Copy changed files; what fails, or changes meanwhile, comes with the next round."""
        failures = []
        with self._lock:
            for path in files_in(self._folder):
                try:
                    if self._sent.get(path) == (stamp := _stamp(path)):
                        continue
                    upload_file(self._s3(), path, join_uri(self._uri, path.relative_to(self._folder).as_posix()))
                    self._sent[path] = stamp
                except (OSError, TransferError) as error:
                    if path.exists():
                        failures.append(str(error))
        self._tell(failures[0] if failures else "")

    def _tell(self, failure: str) -> None:
        if failure and failure != self._said:
            self._say(f"{self._folder.name} could not be copied to S3 and will be tried again: {failure}")
        elif self._said and not failure:
            self._say(f"{self._folder.name} is copied to {self._uri} again")
        self._said = failure

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.sync()


def _stamp(path: Path) -> tuple[float, int]:
    status = path.stat()
    return status.st_mtime, status.st_size
