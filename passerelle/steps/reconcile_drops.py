"""Find what events have missed: objects that nobody claimed, claims that no run took, runs whose execution is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable, stored_key
from passerelle.contracts import zones
from passerelle.contracts.runs import FINAL_STATUSES
from passerelle.domain.claim import DroppedObject, claim_key
from passerelle.settings import ReconcileDropsSettings
from passerelle.steps.claim_drop import claim, ensure_batch
from passerelle.steps.fail_run import fail
from passerelle.steps.project_source import deployed_projects


def reconcile_drops(settings: ReconcileDropsSettings) -> dict[str, Any]:
    """Claim unclaimed objects, start batches that were never started, end runs that nobody ended.

    Events of S3 and Step Functions may be lost: this finds what they would have said.
    """
    latest = datetime.now(UTC) - timedelta(seconds=settings.grace_seconds)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    claimed, started, ended = [], [], []
    with translated("reconciling drops"):
        for project in deployed_projects(settings.environment):
            claims = {item["sk"]: item for item in table.items(project, "DROP#")}
            for item in _objects(settings.raw_bucket, f"{project}/"):
                dropped = _dropped(settings.raw_bucket, item)
                sort_key = stored_key(claim_key(dropped.key, dropped.version_id, dropped.etag))
                if sort_key in claims or item["LastModified"] > latest or dropped.key.endswith("/"):
                    continue
                claim(dropped, settings)
                claimed.append(item["Key"])
            waiting = [item for item in claims.values() if _waits_since(item, latest)]
            if waiting or table.item(project, "OPEN"):
                identity = f"{zones.ZONES[0]}/{waiting[0]['sk']}" if waiting else f"open/{project}"
                started.append(ensure_batch(project, identity, table, settings))
            ended += _end_dead_runs(table, project, latest, settings.environment)
    return {"claimed": claimed, "batches": started, "ended": ended}


def _end_dead_runs(table: RunsTable, project: str, latest: datetime, environment: str) -> list[str]:
    """Fail the runs at work whose execution has failed or is gone; one that changed lately may hear of it yet."""
    ended = []
    for record in table.newest(project):
        if record.status in FINAL_STATUSES or not record.execution_arn:
            continue
        if datetime.fromisoformat(record.updated_at) > latest:
            continue
        if fail(table, record, record.execution_arn, environment)["outcome"] == "failed":
            ended.append(record.run_id)
    return ended


def _waits_since(item: dict[str, Any], latest: datetime) -> bool:
    return "run_id" not in item and datetime.fromisoformat(item["claimed_at"]) < latest


def _objects(bucket: str, prefix: str) -> list[dict[str, Any]]:
    """Return the current version of every object below a prefix."""
    pages = client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [item for page in pages for item in page.get("Versions", ()) if item["IsLatest"]]


def _dropped(bucket: str, item: dict[str, Any]) -> DroppedObject:
    version = item.get("VersionId")
    return DroppedObject(
        bucket=bucket,
        key=item["Key"],
        version_id=None if version in (None, "null") else version,
        etag=item["ETag"].strip('"'),
        size=int(item["Size"]),
        sequencer="",
        time=item["LastModified"].isoformat(),
    )
