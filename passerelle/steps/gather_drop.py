"""Close a batch: take what was dropped together, leave out what was processed before, hand it to `prepare`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, need_attempt, utc_now
from passerelle.contracts import naming, zones
from passerelle.contracts.container import DropFile, DropManifest, Problem
from passerelle.contracts.runs import RunError, RunFile, RunRecord
from passerelle.domain.claim import newest_per_key
from passerelle.domain.requests.jobs import RunRef
from passerelle.errors import NotFoundError
from passerelle.settings import GatherDropSettings
from passerelle.steps.preparation import with_engine
from passerelle.steps.project_lock import take_lock
from passerelle.steps.project_source import read_project
from passerelle.steps.run_stages import begin_stage, end_stage

Answer = dict[str, Any]
_GONE: Final = "gone"
LOG: Final = logging.getLogger(__name__)


def gather_drop(request: dict[str, Any], settings: GatherDropSettings, *, execution_arn: str = "") -> Answer:
    """Return `waiting`, `nothing`, `duplicate`, or `ready` with the whole CreateProcessingJob request.

    Called twice, it gives the same answer: what a call has assigned to the run stays assigned. `why` in the request is
    that of a run that no drop began: it goes on without new files, to train anew with what was accepted before.
    """
    project, run_id, attempt = request["project"], request["run_id"], int(request["attempt"])
    base: Answer = {"project": project, "run_id": run_id, "attempt": attempt}
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated("gathering a drop"):
        record = table.get(project, run_id)
        if record is None or record.attempt < attempt:
            record = _open_record(table, record, base, execution_arn, str(request.get("why", "")))
        need_attempt(record, attempt)
        wait = _must_wait(table, project, run_id, settings)
        if wait:
            return {**base, "status": "waiting", "wait_seconds": wait}
        if not take_lock(table, project, run_id, attempt, execution_arn):
            return {**base, "status": "waiting", "wait_seconds": settings.poll_seconds}
        files = _take_files(table, project, run_id, attempt)
        if not files and not record.why_begun:
            if attempt == 1:
                _forget(table, project, run_id)
            else:
                _end_without_files(table, project, run_id)
            return {**base, "status": "nothing"}
        return _hand_over(table, base, files, settings, anew=bool(record.why_begun))


def _open_record(table: RunsTable, record: RunRecord | None, base: Answer, execution_arn: str, why: str) -> RunRecord:
    """Begin the record of a new run, or of the next attempt of one that failed."""
    moment = utc_now()
    created = record.created_at if record else moment
    fresh = RunRecord(
        **base,
        status="collecting",
        why_begun=record.why_begun if record else why,
        created_at=created,
        updated_at=moment,
        execution_arn=execution_arn,
    )
    return table.save(begin_stage(fresh, "collect"))


def _must_wait(table: RunsTable, project: str, run_id: str, settings: GatherDropSettings) -> int:
    """Return the seconds to wait until no file has come for a whole quiet window; 0 when that is so."""
    claims = [claim for claim in table.items(project, "DROP#") if "run_id" not in claim]
    if not claims:
        return 0
    newest = max(datetime.fromisoformat(claim["claimed_at"]) for claim in claims)
    left = settings.quiet_window_seconds - (datetime.now(UTC) - newest).total_seconds()
    return max(1, round(left + 0.5)) if left > 0 else 0


def _take_files(table: RunsTable, project: str, run_id: str, attempt: int) -> list[dict[str, Any]]:
    """Assign every waiting claim to this run; returns the newest claim of each key.

    The batch is closed first: what is claimed after that opens the next one. A later attempt keeps the files of the
    one before, and takes no others.
    """
    table.delete(project, "OPEN", run_id=run_id)
    everything = table.items(project, "DROP#")
    newest = {str(claim["key"]): claim for claim in newest_per_key(everything)[0]}
    mine = [claim for claim in everything if claim.get("run_id") == run_id]
    claims = mine if mine and attempt > 1 else mine + [claim for claim in everything if "run_id" not in claim]
    chosen = [
        claim
        for claim in newest_per_key(claims)[0]
        if claim["sk"] == newest[claim["key"]]["sk"] or _stays(table, project, run_id, claim, newest[claim["key"]])
    ]
    taken = []
    for claim in claims:
        superseded = claim not in chosen
        if superseded:
            LOG.warning("%s: version %s is ignored, a newer one came", claim["key"], claim.get("version_id"))
        attributes = {name: value for name, value in claim.items() if name not in ("pk", "sk")}
        ours = attributes | {"run_id": run_id, "superseded": superseded}
        # A run that believes it still holds the lock must not take what the next one has taken.
        if table.replace(project, claim["sk"], holder=run_id, **ours) and not superseded:
            taken.append(dict(claim))
    return sorted(taken, key=lambda claim: str(claim["key"]))


def _forget(table: RunsTable, project: str, run_id: str) -> None:
    """A run that found nothing to do (its files went into the run before it) leaves no trace."""
    table.delete(project, f"RUN#{run_id}")
    table.delete(project, "LOCK", run_id=run_id)


def _stays(table: RunsTable, project: str, run_id: str, claim: Mapping[str, Any], newest: Mapping[str, Any]) -> bool:
    """Return whether a version that is not its key's newest is processed all the same.

    Events come in any order: a version that an earlier run's is newer than must not replace it. What this run has taken
    already stays taken, so that a retry keeps its files, unless another run has processed the newer one.
    """
    if "run_id" not in claim or claim.get("superseded"):
        return False
    if newest.get("run_id") in (None, run_id):
        return True
    record = table.get(project, str(newest["run_id"]))
    return record is None or record.status in ("failed", "rejected")


def _end_without_files(table: RunsTable, project: str, run_id: str) -> None:
    """A retry whose files went into other runs meanwhile has nothing to do, and says so."""

    def update(record: RunRecord) -> RunRecord:
        error = RunError(
            stage="collect",
            message="Nothing is left to do: the files of this run went into other runs meanwhile.",
            remedy=f"See `passerelle runs --project {project}`, or drop the files again.",
        )
        return end_stage(record, "collect").model_copy(update={"status": "failed", "error": error})

    table.change(project, run_id, update)
    table.delete(project, "LOCK", run_id=run_id)


def _hand_over(
    table: RunsTable, base: Answer, claims: list[dict[str, Any]], settings: GatherDropSettings, *, anew: bool
) -> Answer:
    project, run_id, attempt = base["project"], base["run_id"], base["attempt"]
    objects = Objects(client("s3"))
    drops, files, problems = [], [], []
    for claim in claims:
        try:
            sha256 = objects.sha256(claim["bucket"], claim["key"], claim.get("version_id"))
        except NotFoundError as error:
            problems.append(_gone(claim["key"], str(error)))
            files.append(_run_file(claim, "", _GONE))
            continue
        earlier = _processed_by(table, project, run_id, sha256)
        if earlier:
            files.append(_run_file(claim, sha256, "duplicate", duplicate_of=earlier))
            continue
        files.append(_run_file(claim, sha256, "pending"))
        drops.append(_drop_file(claim, sha256))
    deployed = read_project(settings.environment, project)
    run = RunRef(project=project, run_id=run_id, attempt=attempt, project_uri=deployed.uri)
    manifest = DropManifest(
        **base, zones=settings.zones, new_files=tuple(drops), earlier_files=table.accepted_files(project)
    )
    manifest, job = with_engine(manifest, run, deployed.project, settings)
    key = zones.drop_manifest_key(project, run_id, attempt)
    objects.write(settings.zones["curated"], key, manifest.model_dump_json(indent=2).encode())
    ready = bool(drops) or (anew and bool(manifest.earlier_files))
    if anew and not ready:
        problems.append(_nothing_accepted(project))
    status = "ready" if ready else ("duplicate" if any(file.duplicate_of for file in files) else "rejected")

    def update(record: RunRecord) -> RunRecord:
        record = end_stage(record, "collect")
        if ready:
            record = begin_stage(record, "prepare", job_name=naming.job_name(project, run_id, "prepare", attempt))
        first = next((file.duplicate_of for file in files if file.duplicate_of), None)
        changes = {"files": tuple(files), "problems": tuple(problems), "status": "running"}
        return record.model_copy(update=changes | ({"duplicate_of": first} if status == "duplicate" else {}))

    table.change(project, run_id, update)
    return {**base, "status": status, **job}


def _processed_by(table: RunsTable, project: str, run_id: str, sha256: str) -> str | None:
    """Return the run that processed these bytes, None when that one failed, was rejected, or is this one."""
    if table.replace(project, f"CONTENT#{sha256}", holder=run_id, run_id=run_id):
        return None
    holder = str((table.item(project, f"CONTENT#{sha256}") or {}).get("run_id"))
    record = table.get(project, holder)
    if record and record.status not in ("failed", "rejected"):
        return holder
    table.put(project, f"CONTENT#{sha256}", run_id=run_id)
    return None


def _run_file(claim: dict[str, Any], sha256: str, outcome: str, duplicate_of: str | None = None) -> RunFile:
    return RunFile(
        key=claim["key"],
        version_id=claim.get("version_id"),
        size=int(claim["size"]),
        sha256=sha256,
        outcome=outcome,
        duplicate_of=duplicate_of,
    )


def _drop_file(claim: dict[str, Any], sha256: str) -> DropFile:
    return DropFile(
        bucket=claim["bucket"],
        key=claim["key"],
        version_id=claim.get("version_id"),
        size=int(claim["size"]),
        sha256=sha256,
        etag=claim.get("etag", ""),
    )


def _nothing_accepted(project: str) -> Problem:
    return Problem(
        code="nothing_accepted",
        rule="a model is trained anew with the rows that were accepted before",
        message=f"Nothing that was dropped for {project} here has been accepted: there is nothing to learn from.",
        remedy=f"Drop files into {project}/, or carry a model here that was trained elsewhere (docs/delivery.md).",
    )


def _gone(key: str, message: str) -> Problem:
    return Problem(
        code="file_gone",
        file=key,
        rule="a dropped file stays until its run has read it",
        message=message,
        remedy="Drop the file again, and leave it until the run has ended.",
    )
