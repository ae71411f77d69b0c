"""Look at a project's windows that are over: count, compare with the champion's training data, tell what lasts.

A window is judged once for what is known of it: records that come late make another source of it, and it is judged
again. Nothing of a window is lost when the step fails half-way: it is called again, and writes the same to the same
places. What people are told is decided with the window, kept, and sent after it: at least once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from passerelle.aws.alerts import tell
from passerelle.aws.clients import client, translated
from passerelle.aws.monitor_metrics import emit
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import metrics, naming
from passerelle.contracts.monitoring import PAGE_FILE, WATCH, CountedWindow, Figure, Watched, WindowRecord
from passerelle.domain.drift.estimated import Estimate
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.signal import SEVERITIES
from passerelle.domain.monitoring.incidents import Cause, Event, Rule, Watch, follow
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
#: So many windows back labels are looked for before nobody knows what the model is worth now.
_LABELLED: Final = 31
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
        self._tell(again)
        emit(self._settings.environment, self._project.name, {metrics.WINDOWS: float(judged)})
        return {"status": "done", "windows": judged, "line": line, **self._retraining()}

    def _retraining(self) -> dict[str, Any]:
        """Return what is asked of the pipeline where the project is to be trained anew, and why where it is held back.

        The run is named by the window that was judged last, so that it is begun once.
        """
        known = self._known()
        watch, _ = self._watches(known)
        estimated, realised = self._losses(known)
        verdict = retraining_due(
            self._table, self._project, watch.incidents, self._now, estimated=estimated, realised=realised
        )
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

    def _losses(self, known: _Known | None) -> tuple[Loss | None, Loss | None]:
        """Return what the newest window has probably lost of the metric, and what the newest one with labels has."""
        if known is None:
            return None, None
        last = window_named(known.watched.next, self._schedule)
        records = [record for record in map(self._results.of, before(last, _LABELLED, self._schedule)) if record]
        records.reverse()
        metric, judged = self._project.task.metric, judged_by(self._project)

        def lost(figure: Figure | None) -> Loss | None:
            if figure is None or figure.before is None:
                return None
            found = {metric: Estimate(value=figure.value, lower=figure.lower, upper=figure.upper)}
            return judged.loss(found, {metric: figure.before})

        estimated = lost(records[0].estimated.get(metric)) if records else None
        shown = (record.realised[metric] for record in records if metric in record.realised)
        return estimated, lost(next(shown, None))

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
        """Take a window into account, once; what its labels show, which come later, once as well."""
        known = self._known()
        new = known is None or window >= window_named(known.watched.next, self._schedule)
        watch, worth = self._watches(known)
        signals = drift.signals if drift else ()
        shown = [signal for signal in signals if signal.kind == "realised"]
        events, labelled = tuple[Event, ...](), tuple[Event, ...]()
        if new and drift:
            rest = [signal for signal in signals if signal.kind != "realised"]
            watch, events = follow(watch, window.name, rest, self._rule)
        if shown:
            worth, labelled = follow(worth, window.name, shown, self._rule)
        self._emit(drift, record, new=new)
        if not new and not shown:
            return
        watched = Watched(
            next=window_at(window.end, self._schedule).name if new or known is None else known.watched.next,
            watch=watch.to_dict(),
            worth=worth.to_dict(),
            again=known.watched.again if known else (),
            untold=(*(known.watched.untold if known else ()), *self._messages((*events, *labelled), record)),
        )
        self._keep(watched, known.revision if known else 0)

    @staticmethod
    def _watches(known: _Known | None) -> tuple[Watch, Watch]:
        """Return what lasts of windows as they come, and of what labels show."""
        if known is None:
            return Watch(), Watch()
        worth = known.watched.worth
        return Watch.from_dict(known.watched.watch), Watch.from_dict(worth) if worth else Watch()

    @property
    def _rule(self) -> Rule:
        incidents = self._project.monitoring.incidents
        return Rule(opens=incidents.opens, windows=incidents.windows, closes=incidents.closes)

    def _messages(self, events: Iterable[Event], record: WindowRecord) -> tuple[tuple[str, str], ...]:
        name, environment = self._project.name, self._settings.environment
        page = f"{record.prefix}/{PAGE_FILE}" if record.prefix else ""
        return tuple((subject(name, environment, event), message(name, environment, event, page)) for event in events)

    def _keep(self, watched: Watched, revision: int) -> None:
        with translated(f"windows of {self._project.name}"):
            kept = self._table.exchange(self._project.name, WATCH, revision=revision, watched=watched.model_dump_json())
        if not kept:
            raise TransientError(f"The windows of {self._project.name} are being judged by somebody else, too.")

    def _emit(self, drift: Drift | None, record: WindowRecord, *, new: bool) -> None:
        """Write a window's metrics; of one that is judged again only what its labels show."""
        severe = severity_by_cause(drift) if drift else {}
        grades = {
            name: float(max((SEVERITIES.index(severe.get(cause, "none")) for cause in causes), default=0))
            for name, causes in _METRICS.items()
        }
        metric = self._project.task.metric
        estimated, realised = record.estimated.get(metric), record.realised.get(metric)
        values = {metrics.WINDOW_ROWS: float(record.rows), **(grades if drift else {})} if new else {}
        values |= {metrics.ESTIMATED: estimated.value} if estimated and new else {}
        if realised:
            values |= {metrics.REALISED: realised.value, metrics.WORTH_SEVERITY: grades[metrics.WORTH_SEVERITY]}
        if values:
            emit(self._settings.environment, self._project.name, values)

    def _tell(self, looked_at: Sequence[str]) -> None:
        """Send what was decided on, and forget the windows that were looked at again."""
        known = self._known()
        if known is None or not (known.watched.untold or looked_at):
            return
        for title, text in known.watched.untold:
            tell(self._settings.alerts_topic_arn, title, text)
        again = tuple(name for name in known.watched.again if name not in looked_at)
        self._keep(known.watched.model_copy(update={"untold": (), "again": again}), known.revision)
