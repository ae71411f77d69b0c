"""A run of `prepare` on real S3 calls: earlier files under a changed contract, thresholds, objects that vanish."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.aws.objects import Objects
from passerelle.contracts.container import DatasetFile, DropFile, DropManifest, PrepareResult
from passerelle.domain.project import Project
from tests.e2e.projects import Row, as_csv, make_rows
from tests.unit.training.prepared import ROWS, ZONES, accepted, make_project, only_problem, quarantined, run
from training.prepare.main import Folders, prepare

LATER = [{**row, "customer": f"later{index}"} for index, row in enumerate(make_rows(300, seed=3))]


class Store:
    """Buckets in moto; what `prepare` writes to its curated output is uploaded, as SageMaker does."""

    def __init__(self, tmp_path: Path) -> None:
        self.s3, self._path, self._runs = boto3.client("s3"), tmp_path, 0
        for bucket in ZONES.values():
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def drop(self, key: str, rows: list[Row]) -> DropFile:
        body = as_csv(rows)
        version = self.s3.put_object(Bucket=ZONES["raw"], Key=key, Body=body)["VersionId"]
        digest = hashlib.sha256(body).hexdigest()
        return DropFile(bucket=ZONES["raw"], key=key, version_id=version, size=len(body), sha256=digest)

    def prepare(
        self, project: Project, *files: DropFile, earlier: tuple[DatasetFile, ...] = ()
    ) -> tuple[PrepareResult, Folders]:
        self._runs += 1
        root = self._path / str(self._runs)
        folders = Folders(**{name: root / name for name in ("result", "quarantine", "curated", "work")})
        for folder in vars(folders).values():
            folder.mkdir(parents=True)
        manifest = DropManifest(
            project="p-x", run_id="r", attempt=1, zones=ZONES, new_files=files, earlier_files=earlier
        )
        result = prepare(manifest, project, Objects(self.s3), folders)
        for path in folders.curated.glob("files/*"):
            self.s3.upload_file(str(path), ZONES["curated"], f"p-x/files/{path.name}")
        return result, folders


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield Store(tmp_path)


def with_limit(**limits: Any) -> Project:
    """Return the project with other limits of `visits`: another contract."""
    columns = make_project().model_dump(mode="json")["data"]["columns"]
    columns[3] |= limits
    return make_project(columns=columns)


def rows_used(result: PrepareResult) -> int:
    return sum(part.rows for part in result.split.values())


def test_earlier_files_are_taken_as_they_are_while_the_contract_stays(store: Store) -> None:
    first, _ = store.prepare(make_project(), store.drop("p-x/a.csv", ROWS))
    store.s3.delete_object(Bucket=ZONES["raw"], Key="p-x/a.csv", VersionId=first.files[0].version_id)
    result, _ = store.prepare(make_project(), store.drop("p-x/b.csv", LATER), earlier=first.dataset_files)
    assert (result.status, rows_used(result)) == ("accepted", 700)
    assert [file.key for file in result.files] == ["p-x/b.csv"]
    assert [file.key for file in result.dataset_files] == ["p-x/a.csv", "p-x/b.csv"]


def test_a_changed_contract_reads_earlier_files_again_in_the_version_that_was_accepted(store: Store) -> None:
    first, _ = store.prepare(make_project(), store.drop("p-x/a.csv", ROWS))
    store.drop("p-x/a.csv", ROWS[:50])  # a newer version, which belongs to another run
    above = sum(row["visits"] > 38 for row in ROWS)
    assert 0 < above < 80
    result, folders = store.prepare(with_limit(max=38), store.drop("p-x/b.csv", LATER), earlier=first.dataset_files)
    outcomes = {file.key: file for file in result.files}
    assert (outcomes["p-x/a.csv"].status, outcomes["p-x/a.csv"].rows_rejected) == ("accepted", above)
    assert outcomes["p-x/a.csv"].version_id == first.files[0].version_id
    assert {row["_file"] for row in quarantined(folders)} == {"p-x/a.csv", "p-x/b.csv"}
    assert all(row["visits"] <= 38 for row in accepted(folders))
    assert rows_used(result) == 700 - result.rows_rejected
    assert result.contract_hash != first.contract_hash


def test_an_earlier_file_that_breaks_the_changed_contract_leaves_the_dataset_and_is_told(store: Store) -> None:
    first, _ = store.prepare(make_project(), store.drop("p-x/a.csv", [{**row, "visits": 900} for row in ROWS]))
    result, _ = store.prepare(with_limit(max=500), store.drop("p-x/b.csv", LATER), earlier=first.dataset_files)
    assert (result.status, rows_used(result)) == ("accepted", 300)
    assert [file.key for file in result.dataset_files] == ["p-x/b.csv"]
    problem = only_problem(result, "too_many_rejected")
    assert (problem.file, problem.severity, problem.count) == ("p-x/a.csv", "error", 400)


def test_an_earlier_file_that_is_gone_when_the_contract_changes_is_told(store: Store) -> None:
    first, _ = store.prepare(make_project(), store.drop("p-x/a.csv", ROWS))
    store.s3.delete_object(Bucket=ZONES["raw"], Key="p-x/a.csv", VersionId=first.files[0].version_id)
    result, _ = store.prepare(with_limit(max=999), store.drop("p-x/b.csv", LATER), earlier=first.dataset_files)
    assert (result.status, rows_used(result)) == ("accepted", 300)
    assert only_problem(result, "file_gone").file == "p-x/a.csv"


def test_a_new_version_of_a_file_replaces_the_earlier_one_without_reading_it(store: Store) -> None:
    first, _ = store.prepare(make_project(), store.drop("p-x/a.csv", ROWS))
    result, _ = store.prepare(with_limit(max=999), store.drop("p-x/a.csv", LATER), earlier=first.dataset_files)
    assert (rows_used(result), len(result.files), len(result.dataset_files)) == (300, 1, 1)


def test_f19_a_file_that_is_deleted_or_overwritten_while_the_run_waits_is_told_and_the_rest_goes_on(
    store: Store,
) -> None:
    gone, changed = store.drop("p-x/gone.csv", ROWS), store.drop("p-x/changed.csv", ROWS)
    store.s3.delete_object(Bucket=ZONES["raw"], Key=gone.key, VersionId=gone.version_id)
    store.drop("p-x/changed.csv", LATER)
    unversioned = changed.model_copy(update={"version_id": None})
    result, _ = store.prepare(make_project(), gone, unversioned, store.drop("p-x/ok.csv", LATER))
    assert (result.status, rows_used(result)) == ("accepted", 300)
    assert only_problem(result, "file_gone").file == "p-x/gone.csv"
    assert only_problem(result, "file_changed").file == "p-x/changed.csv"


def spoiled(rows: list[Row], bad: int) -> list[Row]:
    return [{**row, "plan": "gratis"} if index < bad else row for index, row in enumerate(rows)]


def test_a_rejected_file_has_no_accepted_row_and_its_bad_rows_are_in_quarantine(tmp_path: Path) -> None:
    files = {"p-x/a.csv": as_csv(spoiled(ROWS[:40], 20)), "p-x/b.csv": as_csv(LATER)}
    result, folders = run(tmp_path, files)
    outcome = result.files[0]
    assert (outcome.status, outcome.rows_read, outcome.rows_accepted, outcome.rows_rejected) == ("rejected", 40, 0, 40)
    assert (result.status, result.rows_read, result.rows_accepted, result.rows_rejected) == ("accepted", 340, 300, 40)
    assert rows_used(result) == 300
    assert len(quarantined(folders)) == 20
    problem = only_problem(result, "too_many_rejected")
    assert "20 of 40 rows (50.0%)" in problem.message
    assert (problem.file, problem.count) == ("p-x/a.csv", 20)


def test_a_drop_is_rejected_as_a_whole_when_too_many_of_all_its_rows_are_bad(tmp_path: Path) -> None:
    files = {"p-x/a.csv": as_csv(spoiled(ROWS, 350)), "p-x/b.csv": as_csv(LATER)}
    result, folders = run(tmp_path, files)
    assert (result.status, result.dataset_id, result.dataset_files, result.split) == ("rejected", None, (), {})
    whole = result.problems[0]
    assert (whole.code, whole.file, whole.count) == ("too_many_rejected", None, 350)
    assert "350 of the drop's 700 rows (50.0%)" in whole.message
    assert not list(folders.curated.rglob("*.parquet"))
    report = json.loads((folders.quarantine / "report.json").read_text())
    assert [file["status"] for file in report["files"]] == ["rejected", "accepted"]


def test_a_share_of_bad_rows_just_at_the_threshold_is_accepted(tmp_path: Path) -> None:
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(spoiled(ROWS, 80))})
    assert (result.status, result.rows_accepted) == ("accepted", 320)
    result, _ = run(tmp_path, {"p-x/a.csv": as_csv(spoiled(ROWS, 81))})
    assert (result.status, result.rows_accepted) == ("rejected", 0)
