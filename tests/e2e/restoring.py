"""Two platforms of a restore drill: what users see of one, and how a backup or a restore is interrupted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from passerelle.contracts.backup import BackupIndex
from tests.e2e.platform import ROOT, DeployedLaptop
from tests.e2e.projects import START, as_csv, make_rows

PROJECT: Final = "drill"
MODEL: Final = "drill-laptop"
KEY: Final = "drill/customers.csv"


@dataclass(frozen=True)
class Seen:
    """What users see of a platform; `predictions` are the response bodies, whole."""

    predictions: tuple[bytes, ...]
    runs: list[dict[str, Any]]
    versions: list[dict[str, Any]]
    metrics: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Drill:
    """The platform that is gone, as it was, its backups, and the empty one that takes its place."""

    before: Seen
    backups: Path
    index: BackupIndex
    unfinished: str
    copied: tuple[int, int]
    old_buckets: dict[str, str]
    new: DeployedLaptop

    def new_bucket(self, store: str) -> str:
        """Return the bucket that stands for an old one."""
        return self.old_buckets[store] if store == "mlflow" else self.new.resource(f"{store}-bucket")


def deploy_again(platform: DeployedLaptop) -> None:
    platform.passerelle("up")
    platform.passerelle("deploy", "--projects-dir", str(platform.projects))


def train_twice(platform: DeployedLaptop) -> None:
    """A key that is dropped again: both of its versions are claimed, and the later model is the champion."""
    rows = make_rows(500)
    for body in (as_csv(rows), as_csv(rows + make_rows(200, seed=9, start=START.replace(year=2025)))):
        run = platform.run_of(PROJECT, KEY, platform.drop(KEY, body))
        assert run["status"] == "succeeded", run["error"] or run["gate"]


def interrupted_backup(platform: DeployedLaptop, backups: Path) -> str:
    """Kill a backup when it has begun; returns its id."""
    known = set(backup_ids(backups))
    process = start_command(platform, "backup", "--to", str(backups))
    deadline = time.monotonic() + 300
    while not (new := set(backup_ids(backups)) - known):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    return new.pop()


def backup_ids(backups: Path) -> list[str]:
    return sorted(path.parent.name for path in backups.glob("*/backup.json"))


def start_command(platform: DeployedLaptop, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        env=platform.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What users see


def look_at(platform: DeployedLaptop) -> Seen:
    versions = ask_mlflow(platform, "model-versions/search", {"filter": f"name = '{MODEL}'"}, method="GET")
    aliases = ask_mlflow(platform, "registered-models/get", {"name": MODEL}, method="GET")["registered_model"][
        "aliases"
    ]
    experiment = ask_mlflow(platform, "experiments/get-by-name", {"experiment_name": PROJECT}, method="GET")
    asked = {"experiment_ids": [experiment["experiment"]["experiment_id"]], "max_results": 100}
    found = ask_mlflow(platform, "runs/search", asked)["runs"]
    return Seen(
        predictions=tuple(predict_rows(platform, number) for number in range(3)),
        runs=json.loads(platform.passerelle("--json", "runs").stdout),
        versions=_in_order([*versions["model_versions"], *aliases]),
        metrics={
            run["info"]["run_id"]: {item["key"]: item["value"] for item in run["data"].get("metrics", ())}
            for run in found
        },
    )


def _in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """MLflow gives versions, aliases and tags as they lie in its tables, in no order that it promises."""
    sorted_tags = [
        {**item, "tags": sorted(item["tags"], key=lambda tag: str(tag["key"]))} if "tags" in item else item
        for item in found
    ]
    return sorted(sorted_tags, key=lambda item: (item["version"], item.get("alias", "")))


def predict_rows(platform: DeployedLaptop, seed: int) -> bytes:
    rows = make_rows(40, seed=100 + seed)
    asked = [{name: row[name] for name in ("plan", "visits", "age", "seen_at")} for row in rows]
    answer = platform.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=f"passerelle-laptop-{PROJECT}",
        ContentType="application/json",
        Body=json.dumps({"dataframe_records": [{**row, "age": row["age"] or None} for row in asked]}).encode(),
    )
    return bytes(answer["Body"].read())


def ask_mlflow(platform: DeployedLaptop, path: str, asked: dict[str, Any], *, method: str = "POST") -> Any:
    url = f"http://127.0.0.1:{platform.mlflow_port}/api/2.0/mlflow/{path}"
    body = json.dumps(asked).encode() if method == "POST" else None
    url += "" if body else f"?{urllib.parse.urlencode(asked)}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def champion(platform: DeployedLaptop) -> str:
    """Return the version that MLflow calls the champion."""
    found = ask_mlflow(platform, "registered-models/alias", {"name": MODEL, "alias": "champion"}, method="GET")
    return str(found["model_version"]["version"])


def damaged_copy(drill: Drill, name: str) -> Path:
    copy = drill.backups.parent / name
    shutil.copytree(drill.backups, copy)
    shutil.rmtree(copy / drill.unfinished)
    return copy


def moved_back(drill: Drill, document: Any) -> Any:
    """Return a document with the old platform's names, less what a restore must change.

    These are buckets, MLflow's port, versions of raw objects, and when a record was last written.
    """
    text = json.dumps(document)
    for store, name in drill.old_buckets.items():
        text = text.replace(f"s3://{drill.new_bucket(store)}/", f"s3://{name}/")
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://mlflow", text)
    text = re.sub(r'"(version_id|updated_at|last_updated_timestamp)": ("[^"]*"|\d+)', r'"\1": null', text)
    return json.loads(text)
