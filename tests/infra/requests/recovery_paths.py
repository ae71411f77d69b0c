"""Paths of the commands that keep, restore, carry and redeploy; as in code_paths.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cli import recovery
from passerelle.aws import carrying, deployments
from passerelle.aws.backup_store import BucketStore
from passerelle.aws.deployed import DeployedPlatform
from passerelle.aws.object_versions import Restorer
from passerelle.aws.table_items import TableItems
from passerelle.contracts.backup import ObjectEntry
from passerelle.steps.restore_environment import Journal
from tests.infra.requests.code_paths import Place

_GIGABYTES = 6 * 1024**3
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:m:e"


def starting(place: Place) -> None:
    """`passerelle carry`, `promote`, `rollback` and `redeploy`."""
    platform = DeployedPlatform("prod", place.session)
    started = carrying.start_carrying(platform, "other", "r2", "staging")
    carrying.await_record(platform, "flights", carrying.Carrying("r1", 1, started.execution_arn))
    carrying._need_no_failure(platform, EXECUTION)
    step_functions, machine = platform.client("stepfunctions"), platform.resource("deploy-model")
    deployments.need_no_deployment(step_functions, machine, "flights")
    deployments.need_bundle(platform.client("s3"), "models", "flights/training/job/output/model.tar.gz")
    platform.caller()
    request = {"project": "p" * 20, "run_id": "r20261121050000-abcdef", "attempt": 999, "model_version": "1"}
    deployment = deployments.start_deployment(step_functions, machine, request)
    deployments.await_deployment(step_functions, deployment, lambda _: None)
    deployments._state(step_functions, EXECUTION)


def keeping(place: Place) -> None:
    """`passerelle backup` and `passerelle restore`."""
    s3, file = place.session.client("s3"), place.folder / "kept"
    file.write_bytes(b"x")
    store = BucketStore(s3, "s3://backups/prod")
    store.put("objects/aa", file)
    store.blobs(), store.ids()
    entries = [_entry("été.csv", 1), _entry("large", _GIGABYTES), _entry("deleted", 0, sha256=None)]
    for entry in entries:
        list(Restorer(s3, "bucket").restore([entry], lambda _: _copy(file)))
    table = TableItems(place.session.client("dynamodb"), "runs")
    item = {"pk": {"S": "PROJECT#flights"}, "sk": {"S": "RUN#r1"}}
    table.put([item])
    table.delete([item])
    table.all(), table.is_empty(), table.restorable_from()
    journal = Journal(ssm=place.session.client("ssm"), environment="prod")
    journal.read()
    journal.write("b1", "data")


def _entry(key: str, size: int, *, sha256: str | None = "a" * 64) -> ObjectEntry:
    return ObjectEntry(
        key=key, version_id="v1", etag="e", size=size, last_modified="2026-11-21T05:00:00+00:00", sha256=sha256,
        content_type="text/csv",
    )  # fmt: skip


def _copy(file: Path) -> Path:
    """What is restored is deleted when it is there."""
    return Path(shutil.copy(file, file.with_name("restored")))


def place_of_backups(place: Place) -> None:
    """Where backups are made of: the account that the caller belongs to."""
    session: Any = SimpleNamespace(
        platform=DeployedPlatform("prod", place.session), on_laptop=False, environment="prod"
    )
    recovery.place_of(session)


RECOVERY = (starting, keeping, place_of_backups)
