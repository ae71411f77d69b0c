"""Claim one dropped object, once, and make sure that a run will take it."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.executions import start_once
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts import naming, zones
from passerelle.domain.claim import DroppedObject, claim_key
from passerelle.errors import NotFoundError, TransientError
from passerelle.settings import ClaimDropSettings
from passerelle.steps.project_source import deployed_projects, is_deployed

LOG: Final = logging.getLogger(__name__)
_OPENINGS: Final = 5
#: S3's limit (user guide, "Naming Amazon S3 objects").
_KEY_BYTES: Final = 1024


def claim_drop(event: dict[str, Any], settings: ClaimDropSettings) -> dict[str, Any]:
    """Handle an EventBridge event "Object Created".

    The claim is written before the open batch is looked at: a batch that is being gathered at this moment either sees
    the claim, or was closed before, and then a new batch is opened. The same event again changes nothing.
    """
    item = event["detail"]["object"]
    dropped = DroppedObject(
        bucket=event["detail"]["bucket"]["name"],
        key=item["key"],
        version_id=item.get("version-id"),
        etag=item.get("etag", ""),
        size=int(item.get("size", 0)),
        sequencer=item.get("sequencer", ""),
        time=event.get("time", utc_now()),
    )
    return claim(dropped, settings)


def claim(dropped: DroppedObject, settings: ClaimDropSettings) -> dict[str, Any]:
    """Claim an object; returns what became of it and the run that will take it."""
    project = zones.project_of_raw_key(dropped.key)
    if dropped.key.endswith("/"):
        return {"outcome": "ignored", "why": "a folder marker"}
    if project is None or not is_deployed(settings.environment, project):
        return _report_stray(dropped, project, settings)
    try:
        head = Objects(client("s3")).head(dropped.bucket, dropped.key, dropped.version_id)
    except NotFoundError:
        return {"outcome": "ignored", "why": "the object is gone"}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("claiming a dropped object"):
        return _claim(dropped, head, project, table, settings)


def _claim(
    dropped: DroppedObject, head: dict[str, Any], project: str, table: RunsTable, settings: ClaimDropSettings
) -> dict[str, Any]:
    version, etag = head.get("VersionId"), str(head.get("ETag", dropped.etag)).strip('"')
    sort_key = claim_key(dropped.key, version, etag)
    moment = utc_now()
    first = table.create(
        project,
        sort_key,
        bucket=dropped.bucket,
        key=dropped.key,
        version_id=version,
        etag=etag,
        size=int(head["ContentLength"]),
        sequencer=dropped.sequencer,
        time=dropped.time,
        claimed_at=moment,
    )
    taken = None if first else (table.item(project, sort_key) or {}).get("run_id")
    if taken:
        return {"outcome": "claimed before", "project": project, "run_id": taken}
    run_id = ensure_batch(project, f"{dropped.bucket}/{sort_key}", table, settings)
    return {"outcome": "claimed" if first else "claimed before", "project": project, "run_id": run_id}


def ensure_batch(project: str, identity: str, table: RunsTable, settings: ClaimDropSettings) -> str:
    """Return the run that collects files now; start it if need be. Starting it again is not an error.

    An open batch whose execution has ended (it was stopped while it waited) would keep its files for ever: it is
    closed, and another one is opened.

    Raises TransientError when every batch ends as soon as it is opened.
    """
    for number in range(_OPENINGS):
        run_id = naming.run_id_of(datetime.now(UTC), f"{identity}/{number}" if number else identity)
        if not table.create(project, "OPEN", run_id=run_id, opened_at=utc_now()):
            run_id = (table.item(project, "OPEN") or {"run_id": run_id})["run_id"]
        request = {"project": project, "run_id": run_id, "attempt": 1}
        if start_once(settings.pipeline_arn, naming.execution_name(project, run_id, 1), request):
            return run_id
        LOG.warning("%s: batch %s ended without being gathered; another one is opened", project, run_id)
        table.delete(project, "OPEN", run_id=run_id)
    raise TransientError(
        f"Project {project}: {_OPENINGS} batches ended as soon as they were opened. Tried again later."
    )


def _report_stray(dropped: DroppedObject, project: str | None, settings: ClaimDropSettings) -> dict[str, Any]:
    """Say, where people look, that an object lies in no project's folder; the object itself is left alone."""
    known = ", ".join(deployed_projects(settings.environment)) or "none"
    what = f"the folder {project}/ is no deployed project" if project else "it lies in no project's folder"
    message = f"{dropped.key} is not processed: {what}. Drop files into <project>/; deployed: {known}."
    LOG.error(message)
    body = {"bucket": dropped.bucket, "key": dropped.key, "version_id": dropped.version_id, "message": message}
    key = f"stray/{dropped.key}.json"
    if len(key.encode()) > _KEY_BYTES:
        key = f"stray/{hashlib.sha256(dropped.key.encode()).hexdigest()}.json"
    Objects(client("s3")).write(settings.reports_bucket, key, json.dumps(body, indent=2).encode())
    return {"outcome": "stray", "why": message, "report": zones.s3_uri(settings.reports_bucket, key)}
