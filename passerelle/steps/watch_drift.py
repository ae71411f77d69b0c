"""Look at a project's windows that are over: count, compare with the champion's training data, tell what lasts.

A window is judged once for what is known of it: records that come late make another source of it, and it is judged
again. Nothing of a window is lost when the step fails half-way: it is called again, and writes the same to the same
places. What people are told is decided with the window, kept, and sent after it: at least once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client
from passerelle.aws.monitor_metrics import emit
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import metrics
from passerelle.contracts.monitoring import CountedWindow, WindowRecord
from passerelle.domain.monitoring.windows import LENGTHS, Window, before, window_at, window_named, windows_until
from passerelle.domain.project.monitoring import Schedule
from passerelle.errors import NotFoundError
from passerelle.settings import WatchDriftSettings
from passerelle.steps.job_results import failure_reason
from passerelle.steps.project_source import DeployedProject, read_project
from passerelle.steps.project_watch import ProjectWatch
from passerelle.steps.retraining import retraining
from passerelle.steps.served_references import Served, ServedReferences
from passerelle.steps.window_counts import WindowCounts
from passerelle.steps.window_results import WindowResults

#: Windows judged before that are looked at again for what came late: two days, two days, one week.
_AGAIN: Final[dict[Schedule, int]] = {"hourly": 48, "daily": 2, "weekly": 1}
#: A call begins no other window after this; the state machine calls again.
_BEGIN_WITHIN_SECONDS: Final = 420.0


def watch_drift(request: dict[str, Any], settings: WatchDriftSettings) -> dict[str, Any]:
    """Judge the windows of `project` that are over at `now` (ISO 8601; without it, now).

    Returns `status`: done; more, to be called again; count, where `count_job` is the request of a job that counts one
    window first; or retrain, where all is judged and `run` is what the pipeline is to be asked for. `uncounted`
    in the request says which window such a job has failed for, with Step Functions' error and cause.

    Raises TransientError when AWS does not answer, or somebody else judges the same windows meanwhile.
    """
    name = str(request["project"])
    now = datetime.fromisoformat(request["now"]).astimezone(UTC) if request.get("now") else datetime.now(UTC)
    base = {"project": name, **({"now": request["now"]} if request.get("now") else {})}
    try:
        deployed = read_project(settings.environment, name)
    except NotFoundError as error:
        return {**base, "status": "done", "windows": 0, "line": str(error)}
    watching = _Watching(deployed, settings, now, str(request.get("execution", "")))
    return base | watching.watch(request.get("uncounted"))


class _Watching:
    """One call for one project."""

    def __init__(self, deployed: DeployedProject, settings: WatchDriftSettings, now: datetime, execution: str) -> None:
        self._settings, self._now, self._execution = settings, now, execution
        self._project = deployed.project
        self._schedule: Schedule = self._project.monitoring.schedule
        self._table = RunsTable(client("dynamodb"), settings.runs_table)
        self._served = ServedReferences(self._table, self._project.name, settings.zones)
        self._counts = WindowCounts(deployed, settings)
        self._results = WindowResults(self._project, self._table, settings.zones["reports"])
        self._watch = ProjectWatch(self._project, self._table, settings.environment)

    def watch(self, uncounted: dict[str, Any] | None) -> dict[str, Any]:
        """Judge window after window."""
        since, began, judged, line = self._served.since, time.monotonic(), 0, ""
        if since is None:
            emit(self._settings.environment, self._project.name, {metrics.WINDOWS: 0.0})
            return {"status": "done", "windows": 0, "line": "no model is served yet"}
        first = window_at(since, self._schedule)
        known = self._watch.known()
        following = window_named(known.watched.next, self._schedule) if known else first
        again = known.watched.again if known else ()
        for window in self._due(first, following, again):
            served = self._served.before(window.end)
            if served is None:
                continue
            if time.monotonic() - began > _BEGIN_WITHIN_SECONDS:
                return {"status": "more", "windows": judged, "line": line}
            records = self._counts.records(window, served)
            earlier = self._results.of(window)
            if window < following and earlier and earlier.source == records.source:
                continue
            if served.reference is None:
                record = self._unjudged(window, served, records.source, served.why, len(records.keys))
            elif uncounted and uncounted["window"] == window.name:
                reason = failure_reason(str(uncounted.get("cause", "")), otherwise=str(uncounted["error"]))
                why = f"the job that was to count it failed: {reason}"
                record = self._unjudged(window, served, records.source, why, len(records.keys))
            else:
                reference = self._counts.comparable(served.reference)
                counted = self._counts.counted(window, served, reference, records)
                if counted is None:
                    job = self._counts.job(window, served, reference, records, self._execution)
                    return {"status": "count", "window": window.name, "count_job": job, "windows": judged, "line": line}
                record = self._judge(window, served, counted, records.source)
            judged, line = judged + 1, f"{window.words}: {record.line}"
        self._watch.tell(self._settings.alerts_topic_arn, again)
        emit(self._settings.environment, self._project.name, {metrics.WINDOWS: float(judged)})
        return {"status": "done", "windows": judged, "line": line, **self._retraining()}

    def _retraining(self) -> dict[str, Any]:
        known = self._watch.known()
        if known is None:
            return {}
        return retraining(self._table, self._project, self._results, known, self._served, self._now)

    def _due(self, first: Window, following: Window, again: Sequence[str]) -> Iterator[Window]:
        """Yield windows judged before `following`, for labels and what came late, and then those that are over now."""
        late = before(following, _AGAIN[self._schedule], self._schedule)
        told = [window_named(name, self._schedule) for name in again]
        yield from (window for window in sorted({*late, *told}) if first <= window < following)
        grace = timedelta(minutes=self._project.monitoring.grace_minutes)
        yield from windows_until(following, self._now, grace, self._schedule)

    def _judge(self, window: Window, served: Served, counted: CountedWindow, source: str) -> WindowRecord:
        newest = window.end + LENGTHS[self._schedule] > self._now
        drift, record = self._results.judge(window, served, counted, source, now=self._now, newest=newest)
        self._watch.follow(window, drift, record)
        return record

    def _unjudged(self, window: Window, served: Served, source: str, why: str, files: int) -> WindowRecord:
        record = self._results.unjudged(window, served, source, why, files=files)
        self._watch.follow(window, None, record)
        return record
