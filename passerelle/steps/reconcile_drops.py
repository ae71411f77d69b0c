"""Find what events have missed: objects that nobody claimed, claims that no run took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from passerelle.aws.clients import client, translated
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import zones
from passerelle.domain.claim import DroppedObject, claim_key
from passerelle.settings import ReconcileDropsSettings
from passerelle.steps.claim_drop import claim, ensure_batch
from passerelle.steps.project_source import deployed_projects


def reconcile_drops(settings: ReconcileDropsSettings) -> dict[str, Any]:
    """Claim unclaimed objects and start batches that were never started. S3 events may be lost: this finds them."""
    latest = datetime.now(UTC) - timedelta(seconds=settings.grace_seconds)
    table = RunsTable(client("dynamodb"), settings.runs_table)
    claimed, started = [], []
    with translated("reconciling drops"):
        for project in deployed_projects(settings.environment):
            claims = {item["sk"]: item for item in table.items(project, "DROP#")}
            for item in _objects(settings.raw_bucket, f"{project}/"):
                sort_key = claim_key(item["Key"], item.get("VersionId"), item["ETag"].strip('"'))
                if sort_key in claims or item["LastModified"] > latest or item["Key"].endswith("/"):
                    continue
                claim(_dropped(settings.raw_bucket, item), settings)
                claimed.append(item["Key"])
            waiting = [c for c in claims.values() if "run_id" not in c and c["claimed_at"] < latest.isoformat()]
            if waiting or table.item(project, "OPEN"):
                identity = f"{zones.ZONES[0]}/{waiting[0]['sk']}" if waiting else f"open/{project}"
                started.append(ensure_batch(project, identity, table, settings))
    return {"claimed": claimed, "batches": started}


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
