"""A dataset prepared again by another engine: its rows count once, for whoever reads a part's prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.container import DropManifest, PrepareResult
from tests.e2e.projects import as_csv, make_rows
from tests.unit.training.prepared import ZONES, make_project, run_project
from training.prepare.main import Folders
from training.prepare.places import LocalPlaces

PROJECT = "p-x"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=ZONES["curated"])
        yield client


def prepare_and_upload(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrepareResult:
    """Prepare as a processing job does whose role reaches S3, and upload its folder as SageMaker does: nothing goes."""
    objects = Objects(s3)
    for name in ("keys", "delete"):
        method = getattr(objects, name)
        monkeypatch.setattr(f"tests.unit.training.prepared.Local.{name}", lambda _, *given, to=method: to(*given))
    result, folders = run_project(tmp_path, {"p-x/a.csv": as_csv(make_rows(300))}, make_project())
    for path in folders.curated.rglob("*.*"):
        s3.upload_file(str(path), ZONES["curated"], f"{PROJECT}/{path.relative_to(folders.curated).as_posix()}")
    return result


def test_what_another_engine_had_written_of_a_dataset_does_not_count_beside_the_new_parts(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import awswrangler as wr

    first = prepare_and_upload(s3, tmp_path, monkeypatch)
    prefix = zones.dataset_prefix(PROJECT, str(first.dataset_id))
    for part in first.split:  # Spark's names, and its rows: the same
        mine = f"{prefix}/{part}/part-0.parquet"
        for number in range(2):
            copy = {"Bucket": ZONES["curated"], "Key": mine}
            s3.copy_object(Bucket=ZONES["curated"], Key=f"{prefix}/{part}/part-{number:05d}.parquet", CopySource=copy)
        s3.delete_object(Bucket=ZONES["curated"], Key=mine)
    other = f"{PROJECT}/datasets/another/train/part-00000.parquet"
    s3.put_object(Bucket=ZONES["curated"], Key=other, Body=b"of another dataset")
    again = prepare_and_upload(s3, tmp_path, monkeypatch)
    assert again.dataset_id == first.dataset_id
    for found in again.split.values():
        assert len(wr.s3.read_parquet(found.uri, dataset=True, dtype_backend="pyarrow")) == found.rows
    keys = set(Objects(s3).keys(ZONES["curated"], f"{PROJECT}/datasets/"))
    assert other in keys
    assert f"{prefix}/manifest.json" in keys


def test_a_preparation_by_the_same_engine_deletes_nothing(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_and_upload(s3, tmp_path, monkeypatch)

    def refuse(bucket: str, key: str) -> None:
        raise AssertionError(f"{key} is overwritten by the upload")

    objects = Objects(s3)
    monkeypatch.setattr(objects, "delete", refuse)
    folders = Folders(**{name: tmp_path / name for name in ("result", "quarantine", "curated", "work")})
    manifest = DropManifest(project=PROJECT, run_id="r", attempt=2, zones=ZONES, new_files=())
    LocalPlaces(folders, manifest, objects).supersede(str(first.dataset_id))
