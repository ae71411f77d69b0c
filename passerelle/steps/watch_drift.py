"""Look at a project's windows that are over: count, compare with the champion's training data, tell what lasts.

A window is judged once for what is known of it: records that come late make another source of it, and it is judged
again. Nothing of a window is lost when the step fails half-way: it is called again, and writes the same to the same
places. What people are told is decided with the window, kept, and sent after it: at least once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.alerts import tell
from passerelle.aws.clients import client, translated
from passerelle.aws.monitor_metrics import emit
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import metrics, naming
from passerelle.contracts.monitoring import WATCH, CountedWindow, Watched, WindowRecord
from passerelle.domain.drift.estimated import Estimate
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.signal import SEVERITIES
from passerelle.domain.monitoring.incidents import Cause, Rule, Watch, follow
from passerelle.domain.monitoring.retraining import Loss
from passerelle.domain.monitoring.told import message, subject
from passerelle.domain.monitoring.window_verdict import severity_by_cause
from passerelle.domain.monitoring.windows import LENGTHS, Window, before, window_at, window_named, windows_until
from passerelle.domain.project.monitoring import Schedule
from passerelle.errors import NotFoundError, TransientError
from passerelle.settings import WatchDriftSettings
from passerelle.steps.job_results import failure_reason
from passerelle.steps.project_source import DeployedProject, read_project
from passerelle.steps.retraining import retraining_due
from passerelle.steps.served_references import Served, ServedReferences
from passerelle.steps.window_counts import WindowCounts
from passerelle.steps.window_results import WindowResults, judged_by

#: Windows judged before that are looked at again for what came late: two days, two days, one week.
_AGAIN: Final[dict[Schedule, int]] = {"hourly": 48, "daily": 2, "weekly": 1}
#: A call begins no other window after this; the state machine calls again.
_BEGIN_WITHIN_SECONDS: Final = 420.0
#: Of a run's record.
_WHY_CHARACTERS: Final = 1_000
#: The severity of these kinds of alarms is a metric each.
_METRICS: Final[dict[str, tuple[Cause, ...]]] = {
    metrics.ARRIVALS_SEVERITY: ("arrivals",),
    metrics.QUALITY_SEVERITY: ("absent", "broken"),
    metrics.DRIFT_SEVERITY: ("drift",),
    metrics.ANSWERS_SEVERITY: ("answers",),
    metrics.WORTH_SEVERITY: ("estimated", "realised"),
}


@dataclass(frozen=True)
class _Known:
    """What is written of the project's windows so far, and the revision of that."""

    watched: Watched
    revision: int


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

    def watch(self, uncounted: dict[str, Any] | None) -> dict[str, Any]:
        """Judge window after window."""
        since, began, judged, line = self._served.since, time.monotonic(), 0, ""
        if since is None:
            emit(self._settings.environment, self._project.name, {metrics.WINDOWS: 0.0})
            return {"status": "done", "windows": 0, "line": "no model is served yet"}
        first = window_at(since, self._schedule)
        known = self._known()
        following = window_named(known.watched.next, self._schedule) if known else first
        for window in self._due(first, following):
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
        self._tell()
        emit(self._settings.environment, self._project.name, {metrics.WINDOWS: float(judged)})
        return {"status": "done", "windows": judged, "line": line, **self._retraining()}

    def _retraining(self) -> dict[str, Any]:
        """Return what is asked of the pipeline where the project is to be trained anew, and why where it is held back.

        The run is named by the window that was judged last, so that it is begun once.
        """
        known = self._known()
        watch = Watch.from_dict(known.watched.watch) if known else Watch()
        verdict = retraining_due(self._table, self._project, watch.incidents, self._now, self._loss(known))
        if known is None or verdict is None or not verdict.triggers:
            return {}
        why = "; ".join(f"{trigger}: {reason}" for trigger, reason in verdict.triggers)
        if not verdict.retrain:
            return {"held_back": f"{why}. Not now: {verdict.held_back}"}
        last = before(window_named(known.watched.next, self._schedule), 1, self._schedule)[0]
        run_id = naming.run_id_of(self._now, f"{self._project.name}/{last.name}")
        execution = naming.execution_name(self._project.name, run_id, 1)
        run = {"project": self._project.name, "run_id": run_id, "attempt": 1, "why": why[:_WHY_CHARACTERS]}
        return {"status": "retrain", "execution_name": execution, "run": run}

    def _loss(self, known: _Known | None) -> Loss | None:
        """Return what the window that was judged last has probably lost of the project's metric."""
        if known is None:
            return None
        record = self._results.of(before(window_named(known.watched.next, self._schedule), 1, self._schedule)[0])
        metric = self._project.task.metric
        figure = record.estimated.get(metric) if record else None
        if figure is None or figure.before is None:
            return None
        found = {metric: Estimate(value=figure.value, lower=figure.lower, upper=figure.upper)}
        return judged_by(self._project).loss(found, {metric: figure.before})

    def _due(self, first: Window, following: Window) -> Iterator[Window]:
        """Yield windows judged before `following`, for what came late, and then those that are over now."""
        grace = timedelta(minutes=self._project.monitoring.grace_minutes)
        yield from (window for window in before(following, _AGAIN[self._schedule], self._schedule) if window >= first)
        yield from windows_until(following, self._now, grace, self._schedule)

    def _judge(self, window: Window, served: Served, counted: CountedWindow, source: str) -> WindowRecord:
        newest = window.end + LENGTHS[self._schedule] > self._now
        drift, record = self._results.judge(window, served, counted, source, now=self._now, newest=newest)
        self._follow(window, drift, record)
        return record

    def _unjudged(self, window: Window, served: Served, source: str, why: str, files: int) -> WindowRecord:
        record = self._results.unjudged(window, served, source, why, files=files)
        self._follow(window, None, record)
        return record

    def _known(self) -> _Known | None:
        with translated(f"windows of {self._project.name}"):
            item = self._table.item(self._project.name, WATCH)
        return _Known(Watched.model_validate_json(item["watched"]), int(item["revision"])) if item else None

    def _follow(self, window: Window, drift: Drift | None, record: WindowRecord) -> None:
        """Take a window into account, once: a window that is judged again has been told of."""
        known = self._known()
        if known and window < window_named(known.watched.next, self._schedule):
            return
        watch = Watch.from_dict(known.watched.watch) if known else Watch()
        incidents = self._project.monitoring.incidents
        rule = Rule(opens=incidents.opens, windows=incidents.windows, closes=incidents.closes)
        watch, events = follow(watch, window.name, drift.signals if drift else (), rule) if drift else (watch, ())
        page = f"{record.prefix}/page.html" if record.prefix else ""
        told = tuple(
            (
                subject(self._project.name, self._settings.environment, event),
                message(self._project.name, self._settings.environment, event, page),
            )
            for event in events
        )
        self._emit(drift, record)
        following = window_at(window.end, self._schedule).name
        untold = (*(known.watched.untold if known else ()), *told)
        self._keep(Watched(next=following, watch=watch.to_dict(), untold=untold), known.revision if known else 0)

    def _keep(self, watched: Watched, revision: int) -> None:
        with translated(f"windows of {self._project.name}"):
            kept = self._table.exchange(self._project.name, WATCH, revision=revision, watched=watched.model_dump_json())
        if not kept:
            raise TransientError(f"The windows of {self._project.name} are being judged by somebody else, too.")

    def _emit(self, drift: Drift | None, record: WindowRecord) -> None:
        severe = severity_by_cause(drift) if drift else {}
        grades = {
            name: float(max((SEVERITIES.index(severe.get(cause, "none")) for cause in causes), default=0))
            for name, causes in _METRICS.items()
        }
        values = {metrics.WINDOW_ROWS: float(record.rows), **(grades if drift else {})}
        estimated = record.estimated.get(self._project.task.metric)
        values |= {metrics.ESTIMATED: estimated.value} if estimated else {}
        emit(self._settings.environment, self._project.name, values)

    def _tell(self) -> None:
        known = self._known()
        if known is None or not known.watched.untold:
            return
        for title, text in known.watched.untold:
            tell(self._settings.alerts_topic_arn, title, text)
        self._keep(known.watched.model_copy(update={"untold": ()}), known.revision)
