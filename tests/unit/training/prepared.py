"""Run `prepare` on files given as bytes, and read back what it kept and what it put into quarantine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from passerelle.contracts.container import DatasetFile, DropFile, DropManifest, PrepareResult, Problem
from passerelle.domain.project import Project, load_project
from passerelle.errors import NotFoundError
from tests.e2e.projects import Row, make_rows, project_document
from training.prepare.main import Folders, prepare

ROWS = make_rows(400)
ZONES = {name: f"{name}-bucket" for name in ("raw", "curated", "quarantine")}


class Local:
    """Dropped and curated objects as bytes in memory, by key."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def download(self, bucket: str, key: str, path: Path, version_id: str | None = None) -> Path:
        if key not in self.files:
            raise NotFoundError(f"s3://{bucket}/{key} is gone: it was deleted, or its bucket was.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[key])
        return path

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        return (key for key in sorted(self.files) if key.startswith(prefix))

    def delete(self, bucket: str, key: str) -> None:
        del self.files[key]


def make_project(task: str = "binary", *, training: dict[str, Any] | None = None, **data: Any) -> Project:
    """Return the small project of a task with changes to its `data` and `training`."""
    document = project_document("p-x", task)
    document["data"] |= data
    document["training"] |= training or {}
    return load_project(yaml.safe_dump(document), source="p")


def run(tmp_path: Path, files: dict[str, bytes], task: str = "binary", **changes: Any) -> tuple[PrepareResult, Folders]:
    """Prepare one drop in fresh folders."""
    return run_project(tmp_path, files, make_project(task, **changes))


def run_project(
    tmp_path: Path,
    files: dict[str, bytes],
    project: Project,
    *,
    earlier: tuple[DatasetFile, ...] = (),
    stored: dict[str, bytes] | None = None,
    features: bytes | None = None,
) -> tuple[PrepareResult, Folders]:
    """Prepare one drop of a project; `stored` are further objects that S3 holds, `features` its features.py."""
    for name in ("work", "quarantine", "curated"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    folders = Folders(**{name: tmp_path / name for name in ("result", "quarantine", "curated", "work")})
    for folder in vars(folders).values():
        folder.mkdir(parents=True, exist_ok=True)
    drops = tuple(
        DropFile(bucket="raw", key=key, version_id=None, size=len(body), sha256=hashlib.sha256(body).hexdigest())
        for key, body in files.items()
    )
    manifest = DropManifest(project="p-x", run_id="r", attempt=1, zones=ZONES, new_files=drops, earlier_files=earlier)
    objects: Any = Local(files | (stored or {}))
    return prepare(manifest, project, objects, folders, features=features), folders


def quarantined(folders: Folders) -> list[dict[str, Any]]:
    """Return the rows in quarantine."""
    return [
        row for path in sorted(folders.quarantine.glob("rows/*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def accepted(folders: Folders) -> list[dict[str, Any]]:
    """Return the rows that kept the contract, typed."""
    return [row for path in sorted(folders.curated.glob("files/*")) for row in pq.read_table(path).to_pylist()]


def parts(result: PrepareResult, folders: Folders) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the split."""
    root = folders.curated / "datasets" / str(result.dataset_id)
    return {name: pq.read_table(root / name).to_pylist() for name in result.split}


def only_problem(result: PrepareResult, code: str) -> Problem:
    """Return the only problem of a code."""
    (found,) = [problem for problem in result.problems if problem.code == code]
    return found


def as_json_lines(rows: list[Row]) -> bytes:
    """Return rows as JSON Lines; empty cells are null."""
    return "".join(json.dumps({k: None if v == "" else v for k, v in row.items()}) + "\n" for row in rows).encode()


def as_parquet(rows: list[Row] | pa.Table, **options: Any) -> bytes:
    """Return rows as a Parquet file; empty cells are null."""
    if not isinstance(rows, pa.Table):
        rows = pa.Table.from_pylist([{k: None if v == "" else v for k, v in row.items()} for row in rows])
    sink = io.BytesIO()
    pq.write_table(rows, sink, **options)
    return sink.getvalue()
