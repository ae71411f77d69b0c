"""What the command line reads of a project's windows, and asks for: looking at them now, training anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from passerelle.aws.deployed import DeployedPlatform, refusals_translated
from passerelle.aws.objects import Objects
from passerelle.contracts import naming
from passerelle.contracts.monitoring import DRIFT_FILE, PAGE_FILE, WATCH, WINDOW, Watched, WindowRecord
from passerelle.contracts.runs import FINAL_STATUSES
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import InputError, JobFailedError, NotFoundError, TransientError

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Monitored:
    """One project's windows, the newest first, and what is known of them all; None before the first look."""

    windows: tuple[WindowRecord, ...]
    watched: Watched | None

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """What lasts, of windows as they came and of what their labels showed."""
        if self.watched is None:
            return []
        return [*self.watched.watch["incidents"], *self.watched.worth.get("incidents", ())]


def read_monitored(platform: DeployedPlatform, project: str, *, limit: int) -> Monitored:
    """Return a project's windows."""
    platform.need_project(project)
    with refusals_translated(platform.environment):
        items = platform.runs_table.items(project, WINDOW, newest_first=True, limit=limit)
        known = platform.runs_table.item(project, WATCH)
    windows = tuple(WindowRecord.model_validate_json(item["record"]) for item in items)
    return Monitored(windows, Watched.model_validate_json(known["watched"]) if known else None)


def read_window(platform: DeployedPlatform, project: str, name: str) -> tuple[WindowRecord, dict[str, Any]]:
    """Return a window and all that was found of it; `name` is its start or the beginning of that, or `latest`.

    Raises NotFoundError naming the newest windows, InputError where several begin so.
    """
    record = _named(platform, project, name)
    if not record.prefix:
        return record, {}
    return record, dict(json.loads(_read(platform, record, DRIFT_FILE)))


def read_window_page(platform: DeployedPlatform, project: str, name: str) -> str:
    """Return the page of a window as the monitors wrote it; `name` and errors are as of `read_window`."""
    record = _named(platform, project, name)
    if not record.prefix or record.status != "judged":
        raise NotFoundError(f"The window {record.start} of {project} has no page: {record.line}")
    return _read(platform, record, PAGE_FILE)


def _named(platform: DeployedPlatform, project: str, name: str) -> WindowRecord:
    windows = read_monitored(platform, project, limit=1_000).windows
    found = list(windows[:1]) if name == "latest" else [one for one in windows if one.start.startswith(name)]
    if len(found) != 1:
        shown = ", ".join(one.start[:16] for one in (found or windows)[:5]) or "none yet"
        if found:
            raise InputError(f"{len(found)} windows of {project} begin with {name!r}: {shown}. Say more of one.")
        raise NotFoundError(f"No window of {project} begins with {name!r}. The newest: {shown}.")
    return found[0]


def _read(platform: DeployedPlatform, record: WindowRecord, file: str) -> str:
    key = f"{split_s3_uri(record.prefix)[1]}/{file}"
    with refusals_translated(platform.environment):
        return Objects(platform.client("s3")).read(platform.resource("reports-bucket"), key).decode("utf-8")


def watch_now(platform: DeployedPlatform, project: str, *, waiting: Callable[[], None] = lambda: None) -> str:
    """Let the platform look at what is over of a project's windows, and wait for it; returns the last window's line.

    Raises JobFailedError where that fails.
    """
    platform.need_project(project)
    step_functions = platform.client("stepfunctions")
    with refusals_translated(platform.environment):
        started = step_functions.start_execution(
            stateMachineArn=platform.resource("watch-project"),
            name=f"{project}-by-hand-{datetime.now(UTC):%Y%m%d%H%M%S%f}",
            input=json.dumps({"project": project}),
        )["executionArn"]
        while (found := step_functions.describe_execution(executionArn=started))["status"] == "RUNNING":
            waiting()
            time.sleep(_POLL_SECONDS)
    if found["status"] != "SUCCEEDED":
        raise JobFailedError(
            f"Looking at the windows of {project} ended {found['status']}: {found.get('error', '')} "
            f"{found.get('cause', '')}. `passerelle logs lambda watch_drift` shows why."
        )
    return str(json.loads(found["output"]).get("line", ""))


def train_anew(platform: DeployedPlatform, project: str, why: str) -> str:
    """Begin a run without a drop; returns its id.

    Raises TransientError while a run of the project is at work.
    """
    platform.need_project(project)
    at_work = [run.run_id for run in platform.runs(project) if run.status not in FINAL_STATUSES]
    if at_work:
        raise TransientError(f"Run {at_work[0]} of {project} is at work. Wait: `passerelle runs follow {at_work[0]}`.")
    run_id = naming.run_id_of(datetime.now(UTC), f"{project} {datetime.now(UTC).isoformat()}")
    with refusals_translated(platform.environment):
        platform.client("stepfunctions").start_execution(
            stateMachineArn=platform.resource("training-pipeline"),
            name=naming.execution_name(project, run_id, 1),
            input=json.dumps({"project": project, "run_id": run_id, "attempt": 1, "why": why}),
        )
    return run_id
