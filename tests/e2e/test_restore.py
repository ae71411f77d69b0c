"""The restore drill: a platform is backed up and destroyed; another one, built from code and that backup, is the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passerelle.contracts.backup import BackupIndex
from tests.e2e.platform import DeployedLaptop, free_port
from tests.e2e.projects import START, as_csv, make_rows, project_document, write_project
from tests.e2e.restoring import (
    KEY,
    PROJECT,
    Drill,
    Seen,
    backup_ids,
    champion,
    damaged_copy,
    deploy_again,
    interrupted_backup,
    look_at,
    moved_back,
    predict_rows,
    start_command,
    train_twice,
)
from tests.e2e.steady_load import CLIENTS, kill_one_server, scale, steady_load


@pytest.fixture(scope="module")
def drill() -> Iterator[Drill]:
    folder = Path(tempfile.mkdtemp(prefix="passerelle-restore-"))
    folder.chmod(0o755)
    projects = folder / "projects"
    write_project(projects, project_document(PROJECT, "binary"))
    old = DeployedLaptop(folder / "old", free_port(), free_port(), projects)
    new = DeployedLaptop(folder / "new", free_port(), free_port(), projects)
    try:
        deploy_again(old)
        train_twice(old)
        backups = folder / "backups"
        before = look_at(old)
        first = json.loads(old.passerelle("--json", "backup", "--to", str(backups)).stdout)
        time.sleep(1.1)  # backups are named by the second
        second = json.loads(old.passerelle("backup", "--to", str(backups), "--json").stdout)
        time.sleep(1.1)
        unfinished = interrupted_backup(old, backups)
        buckets = dict(second["buckets"])
        old.passerelle("down", "--delete-state", "--yes")
        assert not old.home.exists()
        deploy_again(new)
        index = BackupIndex.model_validate_json((backups / second["id"] / "backup.json").read_bytes())
        yield Drill(before, backups, index, unfinished, (first["copied"], second["copied"]), buckets, new)
    finally:
        for platform in (old, new):
            platform.passerelle("down", check=False)
        if not os.environ.get("PASSERELLE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


# A backup


def test_a_second_backup_copies_only_what_is_new(drill: Drill) -> None:
    first, second = drill.copied
    assert first > 20
    assert second < 5  # what the endpoint captured meanwhile
    verified = drill.new.passerelle("backup", "verify", str(drill.backups), "--backup", drill.index.id)
    assert "is whole" in verified.stdout
    assert {(item.project, item.endpoint_status) for item in drill.index.served} == {(PROJECT, "InService")}


def test_an_interrupted_backup_is_refused_and_the_last_whole_one_is_named(drill: Drill) -> None:
    refused = drill.new.passerelle("restore", "--from", str(drill.backups), check=False)
    assert refused.returncode == 3
    assert drill.unfinished in refused.stderr
    assert f"--backup {drill.index.id}" in refused.stderr


def test_a_flipped_byte_is_refused_with_the_files_name_before_anything_is_changed(drill: Drill) -> None:
    copy = damaged_copy(drill, "damaged")
    blob = max((copy / "objects").glob("??/*"), key=lambda path: path.stat().st_size)
    body = bytearray(blob.read_bytes())
    body[len(body) // 2] ^= 1
    blob.write_bytes(body)
    for command in (("backup", "verify", str(copy)), ("restore", "--from", str(copy))):
        refused = drill.new.passerelle(*command, check=False)
        assert refused.returncode == 3, refused.stderr
        assert f"objects/{blob.parent.name}/{blob.name}" in refused.stderr
        assert re.search(r"It holds s3://\S+", refused.stderr)
    assert drill.new.runs(PROJECT) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format 2"),
        ({"database": {"kind": "dump", "schema_revision": "ffffffffffff"}}, "schema ffffffffffff"),
    ],
    ids=["backup", "mlflow"],
)
def test_a_backup_of_a_newer_release_is_refused_by_an_older_one(
    drill: Drill, change: dict[str, Any], says: str
) -> None:
    copy = damaged_copy(drill, f"newer-{len(says)}")
    document = BackupIndex.model_validate(drill.index.model_dump() | change).sealed()
    (copy / document.id / "backup.json").write_text(document.model_dump_json())
    refused = drill.new.passerelle("restore", "--from", str(copy), check=False)
    assert refused.returncode == 3, refused.stderr
    assert says in refused.stderr
    assert "newer" in refused.stderr
    assert drill.new.runs(PROJECT) == []


# The drill


@pytest.fixture(scope="module")
def restored(drill: Drill) -> Seen:
    """Restore, killed half-way and run again; returns what users then see."""
    command = ("restore", "--from", str(drill.backups), "--backup", drill.index.id)
    process = start_command(drill.new, *command)
    deadline = time.monotonic() + 300
    while (
        len(drill.new.client("s3").list_objects_v2(Bucket=drill.new.resource("curated-bucket")).get("Contents", ())) < 3
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = json.loads(drill.new.passerelle("--json", *command).stdout)
    assert [item["project"] for item in again["served"]] == [PROJECT]
    return look_at(drill.new)


def test_the_rebuilt_platform_answers_byte_for_byte_as_the_lost_one_did(drill: Drill, restored: Seen) -> None:
    # The whole bodies: request ids are in headers only, and no body tells a time.
    assert restored.predictions == drill.before.predictions
    assert len(set(restored.predictions)) == 3


def test_mlflow_shows_the_same_versions_aliases_and_metrics(drill: Drill, restored: Seen) -> None:
    assert restored.metrics == drill.before.metrics
    assert len(restored.metrics) == 6
    tags = {tag["key"]: tag["value"] for version in restored.versions for tag in version.get("tags", ())}
    assert tags["passerelle.bundle"].startswith(f"s3://{drill.new.resource('models-bucket')}/")
    assert moved_back(drill, restored.versions) == moved_back(drill, drill.before.versions)


def test_the_same_runs_are_listed_and_none_was_started(drill: Drill, restored: Seen) -> None:
    assert moved_back(drill, restored.runs) == moved_back(drill, drill.before.runs)
    assert [run["status"] for run in restored.runs] == ["succeeded", "succeeded"]
    deadline = time.monotonic() + 300
    table = drill.new.client("dynamodb")
    while any(item["sk"]["S"] in ("OPEN", "LOCK") for item in table.scan(TableName=drill.new.table)["Items"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(drill.new.runs(PROJECT)) == 2


def test_claims_and_accepted_files_name_versions_that_exist_here(drill: Drill, restored: Seen) -> None:
    assert restored.runs
    s3, items = drill.new.client("s3"), drill.new.client("dynamodb").scan(TableName=drill.new.table)["Items"]
    claims = [item for item in items if item["sk"]["S"].startswith("DROP#")]
    assert len(claims) == 2
    for claim in claims:
        assert claim["bucket"]["S"] == drill.new.raw_bucket
        s3.head_object(Bucket=drill.new.raw_bucket, Key=KEY, VersionId=claim["version_id"]["S"])
    (file,) = (json.loads(item["file"]["S"]) for item in items if item["sk"]["S"].startswith("FILE#"))
    latest = s3.head_object(Bucket=drill.new.raw_bucket, Key=KEY)["VersionId"]
    assert file["version_id"] == latest
    gone = [name for store, name in drill.old_buckets.items() if name != drill.new_bucket(store)]
    assert not [name for name in gone if f"s3://{name}/" in json.dumps(items)]


def test_the_same_restore_again_changes_nothing(drill: Drill, restored: Seen) -> None:
    command = ("restore", "--from", str(drill.backups), "--backup", drill.index.id)
    assert "Nothing was changed" in drill.new.passerelle(*command).stdout
    other = sorted(set(backup_ids(drill.backups)) - {drill.index.id, drill.unfinished})[0]
    refused = drill.new.passerelle("restore", "--from", str(drill.backups), "--backup", other, check=False)
    assert refused.returncode == 3
    assert "--overwrite" in refused.stderr
    assert restored.predictions


def test_a_further_drop_trains_a_challenger_that_is_compared_with_the_restored_champion(
    drill: Drill, restored: Seen
) -> None:
    assert restored.runs
    body = as_csv(make_rows(300, seed=21, start=START.replace(year=2026)))
    run = drill.new.run_of(PROJECT, "drill/more.csv", drill.new.drop("drill/more.csv", body))
    assert run["status"] == "succeeded", run["error"] or run["gate"]
    assert "not_worse_than_champion" in {check["name"] for check in run["gate"]["checks"]}
    assert run["model_version"] == "3"


def test_rollback_goes_further_back_each_time_and_to_any_version_that_was_served(drill: Drill, restored: Seen) -> None:
    laptop = drill.new
    assert restored.runs
    assert [(row["version"], row["champion"], row["back"]) for row in listed(laptop)] == [
        ("3", True, False),
        ("2", False, True),
        ("1", False, False),
    ]
    for version, before in (("2", "3"), ("1", "2")):
        told = json.loads(laptop.passerelle("--json", "rollback", PROJECT, "--reason", "worse").stdout)
        assert (told["served"], told["before"], told["model_version"]) == (True, before, version)
        assert (champion(laptop), json.loads(predict_rows(laptop, 0))["model"]["version"]) == (version, version)
    assert [row["version"] for row in listed(laptop) if row["back"]] == [], "never forward to what was given up"
    nothing = laptop.passerelle("rollback", PROJECT, check=False)
    assert nothing.returncode == 3, nothing.stdout
    assert f"No model of {PROJECT} was served before version 1" in nothing.stderr
    assert f"`passerelle rollback {PROJECT} --list`" in nothing.stderr
    told = json.loads(laptop.passerelle("--json", "rollback", PROJECT, "--to", "3", "--reason", "the best").stdout)
    assert (told["served"], told["before"], told["model_version"]) == (True, "1", "3")
    assert (champion(laptop), json.loads(predict_rows(laptop, 0))["model"]["version"]) == ("3", "3")
    assert {(row["version"], row["how"], row["reason"]) for row in listed(laptop)} == {
        ("3", "rollback", "the best"),
        ("2", "rollback", "worse"),
        ("1", "rollback", "worse"),
    }
    unknown = laptop.passerelle("rollback", PROJECT, "--to", "9", check=False)
    assert unknown.returncode == 3, unknown.stdout
    assert "no registered version 9; newest: 3" in unknown.stderr


def listed(laptop: DeployedLaptop) -> list[dict[str, Any]]:
    """Return what `rollback --list` tells of each version, newest first."""
    return list(json.loads(laptop.passerelle("--json", "rollback", PROJECT, "--list").stdout))


def test_an_earlier_version_is_served_again_without_training(drill: Drill, restored: Seen) -> None:
    first = restored.runs[-1]
    assert first["model_version"] == "1"
    drill.new.passerelle("redeploy", PROJECT, "--version", "1")
    assert json.loads(predict_rows(drill.new, 0))["model"]["run_id"] == first["run_id"]
    assert champion(drill.new) == "1"


# Champions by hand, under load


def test_promotion_rollback_scaling_and_a_killed_server_lose_no_request_but_those_in_flight_on_it(
    drill: Drill, restored: Seen
) -> None:
    laptop, endpoint = drill.new, f"passerelle-laptop-{PROJECT}"
    assert restored.runs
    with steady_load(laptop, endpoint, [{"plan": "pro", "visits": 3, "age": 40, "seen_at": "2026-02-01"}]) as load:
        for words, version in ((("promote", "--version", "2"), "2"), (("rollback",), "1")):
            told = load.change(laptop, PROJECT, *words)
            assert (told["served"], told["model_version"]) == (True, version)
            execution = laptop.client("stepfunctions").describe_execution(executionArn=told["execution_arn"])
            assert execution["stateMachineArn"] == laptop.resource("deploy-model")
            assert champion(laptop) == version
        scale(laptop, endpoint, 2)
        load.wait_for_answers()
        assert not load.failed()
        before, killed = kill_one_server(laptop, endpoint, load)
        scale(laptop, endpoint, 1)
        load.wait_for_answers()
    assert load.versions(since=killed) == {"1"}
    # In flight at that moment, one of each client at most, and answered when they were sent again.
    assert [request for request in load.failed() if request.sent > killed or request.ended < before] == []
    assert len(load.failed()) <= CLIENTS
    assert not load.given_up
