"""How far a project's windows are judged, and what lasts of what they showed: the WATCH item, metrics, messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from passerelle.aws.alerts import tell
from passerelle.aws.clients import translated
from passerelle.aws.monitor_metrics import emit
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts import metrics
from passerelle.contracts.monitoring import PAGE_FILE, WATCH, Watched, WindowRecord
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.signal import SEVERITIES
from passerelle.domain.monitoring.incidents import Cause, Event, Rule, Watch, follow
from passerelle.domain.monitoring.told import message, subject
from passerelle.domain.monitoring.window_verdict import severity_by_cause
from passerelle.domain.monitoring.windows import Window, window_at, window_named
from passerelle.domain.project import Project
from passerelle.errors import TransientError

#: The severity of these kinds of alarms is a metric each.
_METRICS: Final[dict[str, tuple[Cause, ...]]] = {
    metrics.ARRIVALS_SEVERITY: ("arrivals",),
    metrics.QUALITY_SEVERITY: ("absent", "broken"),
    metrics.DRIFT_SEVERITY: ("drift",),
    metrics.ANSWERS_SEVERITY: ("answers",),
    metrics.WORTH_SEVERITY: ("estimated", "realised"),
}


@dataclass(frozen=True)
class Known:
    """What is written of the project's windows so far, and the revision of that."""

    watched: Watched
    revision: int

    @property
    def watch(self) -> Watch:
        """What lasts of windows as they come."""
        return Watch.from_dict(self.watched.watch)

    @property
    def worth(self) -> Watch:
        """What lasts of what labels show."""
        return Watch.from_dict(self.watched.worth) if self.watched.worth else Watch()


class ProjectWatch:
    """Of one project. What is written names the revision that it was made of: two never judge the same windows."""

    def __init__(self, project: Project, table: RunsTable, environment: str) -> None:
        self._project, self._table, self._environment = project, table, environment

    def known(self) -> Known | None:
        """Return what is known, None before the first window."""
        with translated(f"windows of {self._project.name}"):
            item = self._table.item(self._project.name, WATCH)
        return Known(Watched.model_validate_json(item["watched"]), int(item["revision"])) if item else None

    def follow(self, window: Window, drift: Drift | None, record: WindowRecord) -> None:
        """Take a window into account, once; what its labels show, which come later, once as well.

        Raises TransientError when somebody else judges the project's windows meanwhile, as all that write do.
        """
        known, schedule = self.known(), self._project.monitoring.schedule
        new = known is None or window >= window_named(known.watched.next, schedule)
        watch, worth = (known.watch, known.worth) if known else (Watch(), Watch())
        signals = drift.signals if drift else ()
        shown = [signal for signal in signals if signal.kind == "realised"]
        events, labelled = tuple[Event, ...](), tuple[Event, ...]()
        if new and drift:
            rest = [signal for signal in signals if signal.kind != "realised"]
            model, rows = record.version or "", record.rows > 0
            watch, events = follow(watch, window.name, rest, self._rule, model=model, rows=rows)
        if shown:
            worth, labelled = follow(worth, window.name, shown, self._rule, model=record.version or "")
        self._emit(drift, record, new=new)
        if not new and not shown:
            return
        watched = Watched(
            next=window_at(window.end, schedule).name if new or known is None else known.watched.next,
            watch=watch.to_dict(),
            worth=worth.to_dict(),
            again=known.watched.again if known else (),
            untold=(*(known.watched.untold if known else ()), *self._messages((*events, *labelled), record)),
        )
        self._keep(watched, known.revision if known else 0)

    def look_again(self, windows: Sequence[str]) -> None:
        """Have windows judged again that were judged before."""
        known = self.known() if windows else None
        if known is not None:
            again = tuple(sorted({*known.watched.again, *windows}))
            self._keep(known.watched.model_copy(update={"again": again}), known.revision)

    def tell(self, topic_arn: str, looked_at: Sequence[str]) -> None:
        """Send what was decided on, and forget the windows that were looked at again."""
        known = self.known()
        if known is None or not (known.watched.untold or looked_at):
            return
        for title, text in known.watched.untold:
            tell(topic_arn, title, text)
        again = tuple(name for name in known.watched.again if name not in looked_at)
        self._keep(known.watched.model_copy(update={"untold": (), "again": again}), known.revision)

    @property
    def _rule(self) -> Rule:
        incidents = self._project.monitoring.incidents
        return Rule(opens=incidents.opens, windows=incidents.windows, closes=incidents.closes)

    def _messages(self, events: Iterable[Event], record: WindowRecord) -> tuple[tuple[str, str], ...]:
        name, environment = self._project.name, self._environment
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
        if new and record.estimated_gain is not None:
            values[metrics.ESTIMATED_GAIN] = record.estimated_gain
        if record.realised_gain is not None:
            values[metrics.REALISED_GAIN] = record.realised_gain
        if realised:
            values |= {metrics.REALISED: realised.value, metrics.WORTH_SEVERITY: grades[metrics.WORTH_SEVERITY]}
        if values:
            emit(self._environment, self._project.name, values)
