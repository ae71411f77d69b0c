"""What surrounds the local SageMaker in tests of its own: S3 as a folder, and lists of what was emitted."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from laptop.surroundings import MetricDatum


class FolderS3:
    """The few S3 calls that SageMaker makes, on a folder: bucket/key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encryption: dict[str, dict[str, str]] = {}

    def path(self, bucket: str, key: str) -> Path:
        return self.folder / bucket / key

    def get_paginator(self, operation: str) -> FolderS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        base = self.folder / Bucket
        keys = sorted(path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())
        yield {"Contents": [{"Key": key} for key in keys if key.startswith(Prefix)]}

    def download_file(self, bucket: str, key: str, target: str) -> None:
        source = self.path(bucket, key)
        if not source.is_file():
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
        shutil.copy(source, target)

    def upload_file(self, source: str, bucket: str, key: str) -> None:
        target = self.path(bucket, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **encryption: str) -> None:  # noqa: N803
        """An object is there whole or not at all, as in S3."""
        target = self.path(Bucket, Key)
        self.encryption[Key] = encryption
        target.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{uuid.uuid4().hex}"
        partial.write_bytes(Body)
        partial.replace(target)

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        try:
            return {"Body": self.path(Bucket, Key).open("rb")}
        except FileNotFoundError as error:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "not there"}}, "GetObject") from error


class QuietSurroundings:
    """Keeps what is emitted."""

    def __init__(self, folder: Path) -> None:
        self.bucket = FolderS3(folder)
        self.lines: list[tuple[str, str, str]] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.metrics: list[MetricDatum] = []
        self.alarms = {"errors": "OK"}
        self.breaches: dict[str, float] = {}

    def s3(self, role: str) -> FolderS3:
        return self.bucket

    def credentials(self, role: str) -> Mapping[str, str]:
        return {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": role, "AWS_SECRET_ACCESS_KEY": "test"}

    def put_log_lines(self, group: str, stream: str, lines: Sequence[tuple[datetime, str]]) -> None:
        self.lines += [(group, stream, text) for _, text in lines]

    def put_event(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]) -> None:
        self.events.append((detail_type, detail))

    def put_metrics(self, data: Sequence[MetricDatum]) -> None:
        self.metrics += data

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        return {name: self.alarms[name] for name in names if name in self.alarms}

    def alarm_breach(self, action: str) -> float | None:
        return self.breaches.get(action)

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str, seconds: float
    ) -> float | None:
        """Return a metric's statistic over everything that was put; tests clear the list."""
        found = [datum for datum in self.metrics
                 if (datum.namespace, datum.name, datum.dimensions) == (namespace, name, dimensions)]  # fmt: skip
        if not found:
            return None
        if statistic == "Sum":
            return sum(datum.value * datum.count for datum in found)
        assert statistic == "Maximum"
        return max(datum.value for datum in found)
