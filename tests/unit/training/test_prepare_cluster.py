"""Executors on machines of their own: everything goes through S3, and the rows are DuckDB's."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from passerelle.contracts.container import DatasetFile, DropFile, DropManifest, PrepareResult
from passerelle.domain.project import Project
from passerelle.errors import InputError
from tests.e2e.projects import as_csv, make_rows
from tests.unit.training.prepared import ZONES, make_project, run_project
from tests.unit.training.spark_cluster import cluster_session, executor_of, fetch_all, make_buckets, s3_server
from tests.unit.training.test_prepare_spark import EXTRA, assert_same, wild_rows
from training import spark_main
from training.prepare.main import Folders

WHY = "40.0 GB of data are more than the 20.0 GB that one machine prepares well"


@dataclass(frozen=True)
class Cluster:
    """A session of separate executors, and the S3 that they share with the driver."""

    session: Any
    s3: Any
    driver: Path

    def prepare(
        self, files: dict[str, bytes], project: Project, *, earlier: tuple[DatasetFile, ...] = ()
    ) -> PrepareResult:
        """Drop files and prepare them as EMR Serverless does."""
        drops = []
        for key, body in files.items():
            self.s3.put_object(Bucket=ZONES["raw"], Key=key, Body=body)
            digest = hashlib.sha256(body).hexdigest()
            drops.append(DropFile(bucket=ZONES["raw"], key=key, version_id=None, size=len(body), sha256=digest))
        manifest = DropManifest(
            project="p-x", run_id="r", attempt=1, zones=ZONES, new_files=tuple(drops), earlier_files=earlier,
            engine="spark", engine_reason=WHY,
        )  # fmt: skip
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("project.yaml", yaml.safe_dump(project.model_dump(mode="json", exclude_unset=True)))
        for key, body in {"drop.json": manifest.model_dump_json().encode(), "project.zip": archive.getvalue()}.items():
            self.s3.put_object(Bucket="told", Key=key, Body=body)
        return spark_main.run("s3://told/drop.json", "s3://told/project.zip")

    def folders(self, target: Path) -> Folders:
        """Return what lies in S3 as SageMaker's folders would have it."""
        found = Folders(**{name: target / name for name in ("result", "quarantine", "curated", "work")})
        fetch_all(self.s3, ZONES["curated"], "p-x/", found.curated)
        fetch_all(self.s3, ZONES["quarantine"], "p-x/runs/r/1/", found.quarantine)
        return found

    def keys(self, zone: str) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=ZONES[zone]).get("Contents", ())]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with s3_server() as environ, cluster_session(folder, environ) as session, pytest.MonkeyPatch.context() as patch:
        s3 = make_buckets(environ, patch)
        s3.create_bucket(Bucket="told")
        yield Cluster(session, s3, folder / "driver")


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    for zone in ZONES:
        for key in running.keys(zone):
            running.s3.delete_object(Bucket=ZONES[zone], Key=key)
    return running


def test_the_tasks_run_in_several_executors_that_see_nothing_of_the_driver(cluster: Cluster) -> None:
    def slowly(number: int) -> int:
        time.sleep(0.5)
        return executor_of(number)

    found = cluster.session.sparkContext.parallelize(range(4), 4).map(slowly).collect()
    assert len(set(found)) == 2
    (cluster.driver / "secret").write_text("x")
    path = str(cluster.driver / "secret")
    with pytest.raises(Exception, match="lies on the driver's disk"):
        cluster.session.sparkContext.parallelize([path], 1).map(lambda name: open(name).read()).collect()  # noqa: SIM115


def test_executors_write_what_duckdb_writes_bad_rows_in_quarantine(cluster: Cluster, tmp_path: Path) -> None:
    columns = [*make_project().model_dump(mode="json")["data"]["columns"], *EXTRA]
    project = make_project(
        columns=columns,
        entity_id=["customer", "amount", "when"],
        thresholds={"rejected_rows": 1.0, "missing_labels": 1.0},
    )
    files = {f"p-x/{seed}.csv": as_csv(wild_rows(300, seed)) for seed in (1, 2)}
    duck = run_project(tmp_path / "duckdb", files, project)
    found = cluster.prepare(files, project)
    assert duck[0].rows_rejected > 20
    assert found.engine_reason == WHY
    folders = cluster.folders(tmp_path / "cluster")
    assert_same([duck, (found, folders)])
    keys = cluster.keys("curated")
    assert sum("/train/" in key for key in keys) > 1, "one part does not tell whether parts are in the order of rows"
    assert not any("staged" in key for key in keys)
    assert cluster.keys("quarantine")[0] == "p-x/runs/r/1/report.json"
    written = (folders.curated / "runs/r/1/prepare/result.json").read_text()
    assert PrepareResult.model_validate_json(written) == found
    assert (folders.curated / f"datasets/{found.dataset_id}/manifest.json").read_text() == written


def test_a_later_drop_reads_the_earlier_rows_from_s3_and_stale_parts_go(cluster: Cluster, tmp_path: Path) -> None:
    project, rows = make_project(), make_rows(400)
    first, folders = run_project(tmp_path / "first", {"p-x/a.csv": as_csv(rows[:200])}, project)
    (earlier,) = first.dataset_files
    body = (folders.curated / earlier.curated_key.removeprefix("p-x/")).read_bytes()
    cluster.s3.put_object(Bucket=ZONES["curated"], Key=earlier.curated_key, Body=body)
    files, known = {"p-x/b.csv": as_csv(rows[200:])}, {earlier.curated_key: body}
    duck = run_project(tmp_path / "duckdb", files, project, earlier=(earlier,), stored=known)
    stale = f"p-x/datasets/{duck[0].dataset_id}/train/part-00099.parquet"
    cluster.s3.put_object(Bucket=ZONES["curated"], Key=stale, Body=b"of an attempt that had more partitions")
    found = cluster.prepare(files, project, earlier=(earlier,))
    assert stale not in cluster.keys("curated")
    written = cluster.folders(tmp_path / "cluster")
    (written.curated / earlier.curated_key.removeprefix("p-x/")).unlink()  # DuckDB's run had only to read it
    assert_same([duck, (found, written)])


def test_rows_of_a_rejected_drop_never_lie_among_the_accepted_ones(cluster: Cluster) -> None:
    rows = [{**row, "visits": "x"} if index % 3 == 0 else row for index, row in enumerate(make_rows(300))]
    good = make_rows(100, seed=4)
    found = cluster.prepare({"p-x/bad.csv": as_csv(rows), "p-x/good.csv": as_csv(good)}, make_project())
    assert found.status == "rejected"
    assert {"too_many_rejected"} <= {problem.code for problem in found.problems}
    assert cluster.keys("curated") == ["p-x/runs/r/1/prepare/result.json"]


def test_a_manifest_for_another_engine_is_refused(cluster: Cluster) -> None:
    manifest = DropManifest(project="p-x", run_id="r", attempt=1, zones=ZONES, new_files=())
    cluster.s3.put_object(Bucket="told", Key="drop.json", Body=manifest.model_dump_json().encode())
    with pytest.raises(InputError, match="written for engine ''"):
        spark_main.run("s3://told/drop.json", "s3://told/project.zip")
