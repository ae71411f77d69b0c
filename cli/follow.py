"""Follow a run while it is at work: its record, and the progress lines that its jobs print."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.deployed import DeployedPlatform, DroppedFile
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.errors import TransientError

POLL_SECONDS: Final = 0.4
#: A run must show up this soon after its drop, quiet window included.
APPEAR_SECONDS: Final = 180.0
LOG_GROUPS: Final = {
    "prepare": "/aws/sagemaker/ProcessingJobs",
    "tune": "/aws/sagemaker/TrainingJobs",
    "train": "/aws/sagemaker/TrainingJobs",
    "evaluate": "/aws/sagemaker/ProcessingJobs",
}


@dataclass(frozen=True)
class Update:
    """What is new since the last update: the record when it changed, and the events since then."""

    record: RunRecord | None
    events: tuple[dict[str, Any], ...] = ()


def runs_of_drop(platform: DeployedPlatform, project: str, dropped: Sequence[DroppedFile]) -> Iterator[set[str]]:
    """Yield the ids of the runs that took the dropped files, growing, until every file is in one.

    Raises TransientError when a file is in no run after `APPEAR_SECONDS` without any run at work.
    """
    deadline = time.monotonic() + APPEAR_SECONDS
    found: dict[tuple[str, str | None], str] = {}
    while len(found) < len(dropped):
        records = platform.runs(project, limit=50)
        for record in records:
            for file in record.files:
                found.setdefault((file.key, file.version_id), record.run_id)
        wanted = {(file.key, file.version_id) for file in dropped}
        found = {identity: run for identity, run in found.items() if identity in wanted}
        yield set(found.values())
        if any(record.status not in FINAL_STATUSES for record in records):
            deadline = time.monotonic() + APPEAR_SECONDS
        if time.monotonic() > deadline:
            raise TransientError(
                f"No run took the dropped files within {APPEAR_SECONDS:.0f} s. "
                "`passerelle logs lambda claim_drop` shows what became of the event."
            )
        time.sleep(POLL_SECONDS)


def follow_run(platform: DeployedPlatform, project: str, run_id: str) -> Iterator[Update]:
    """Yield updates until the run has its final status."""
    seen: set[tuple[str, str]] = set()
    last: RunRecord | None = None
    while True:
        record = platform.runs_table.get(project, run_id)
        events = tuple(_new_events(platform, record, seen)) if record else ()
        if record != last or events:
            yield Update(record if record != last else None, events)
            last = record
        if record and record.status in FINAL_STATUSES:
            return
        time.sleep(POLL_SECONDS)


def _new_events(platform: DeployedPlatform, record: RunRecord, seen: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield progress events of the run's stages that run or have just ended."""
    for stage in record.stages:
        group = LOG_GROUPS.get(stage.stage)
        if group is None or stage.job_name is None:
            continue
        since = datetime.fromisoformat(stage.started_at) - timedelta(seconds=5)
        for line in platform.log_lines(group, prefix=stage.job_name, since=since.astimezone(UTC)):
            if not line.text.startswith("{") or (identity := (line.stream, line.text)) in seen:
                continue
            seen.add(identity)
            try:
                event = json.loads(line.text)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict) and "event" in event:
                yield {"stage": stage.stage, **event}
