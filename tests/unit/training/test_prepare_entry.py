"""The entry `prepare` as SageMaker starts it: a process with folders, an S3 endpoint and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
import yaml
from moto.server import ThreadedMotoServer

from passerelle.contracts.container import DropFile, DropManifest, PrepareResult
from tests.e2e.projects import as_csv, project_document
from tests.unit.training.prepared import ROWS, ZONES, as_parquet

ROOT = Path(__file__).parents[3]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3 over HTTP on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    yield f"http://127.0.0.1:{port}"
    server.stop()


def start(base: Path, files: dict[str, bytes]) -> tuple[subprocess.CompletedProcess[str], PrepareResult]:
    s3 = boto3.client("s3")
    for bucket in ZONES.values():
        s3.create_bucket(Bucket=bucket)
    drops = []
    for key, body in files.items():
        s3.put_object(Bucket=ZONES["raw"], Key=key, Body=body)
        digest = hashlib.sha256(body).hexdigest()
        drops.append(DropFile(bucket=ZONES["raw"], key=key, version_id=None, size=len(body), sha256=digest))
    manifest = DropManifest(project="p-x", run_id="r", attempt=1, zones=ZONES, new_files=tuple(drops))
    for name in ("project", "drop"):
        (base / "processing" / "input" / name).mkdir(parents=True)
    (base / "processing/input/drop/drop.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    with zipfile.ZipFile(base / "processing/input/project/p-x.zip", "w") as archive:
        archive.writestr("project.yaml", yaml.safe_dump(project_document("p-x", "binary")))
    done = subprocess.run(
        [sys.executable, "-m", "training", "prepare"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = (base / "processing/output/result/result.json").read_text(encoding="utf-8")
    return done, PrepareResult.model_validate_json(result)


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_drop_of_good_and_bad_files_ends_as_a_dataset_a_quarantine_and_a_sentence(
    tmp_path: Path, endpoint: str
) -> None:
    rows = [{**row, "plan": "gratis"} if index == 3 else row for index, row in enumerate(ROWS)]
    damaged = as_parquet(ROWS).replace(b"customer", b"custom\xea\xff")
    done, result = start(tmp_path, {"p-x/été 1.csv": as_csv(rows), "p-x/b.parquet": damaged})
    assert (result.status, result.rows_accepted, result.rows_rejected) == ("accepted", 399, 1)
    output = tmp_path / "processing" / "output"
    part = output / "curated" / "datasets" / str(result.dataset_id) / "train"
    assert pq.read_table(part).num_rows == result.split["train"].rows
    (row,) = pq.read_table(output / "quarantine" / "rows" / "00000.parquet").to_pylist()
    assert (row["_file"], row["_line"], row["_reasons"]) == ("p-x/été 1.csv", 5, ["allowed:plan"])
    report = json.loads((output / "quarantine" / "report.json").read_text(encoding="utf-8"))
    assert [file["status"] for file in report["files"]] == ["accepted", "rejected"]
    told = [event for event in events(done) if event["event"] == "file_validated"]
    assert [(event["key"], event["status"], event["rows_accepted"]) for event in told] == [
        ("p-x/été 1.csv", "accepted", 399),
        ("p-x/b.parquet", "rejected", 0),
    ]
    message = (tmp_path / "output" / "message").read_text(encoding="utf-8")
    assert message.startswith("accepted: 399 of 400 rows accepted. the Parquet file is corrupt")


def test_a_rejected_drop_ends_well_with_what_ended_it_in_the_sentence(tmp_path: Path, endpoint: str) -> None:
    rows = [{**row, "plan": "gratis"} for row in ROWS[:300]]
    _, result = start(tmp_path, {"p-x/a.csv": as_csv(rows), "p-x/b.csv": as_csv(ROWS[300:])})
    assert (result.status, result.dataset_id) == ("rejected", None)
    message = (tmp_path / "output" / "message").read_text(encoding="utf-8")
    assert message == "rejected: 100 of 400 rows accepted. 300 of the drop's 400 rows (75.0%) break the contract"
