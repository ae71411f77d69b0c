"""What a window showed, written down: its files in the reports zone, its record in the runs table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.objects import Objects
from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts import zones
from passerelle.contracts.monitoring import (
    DRIFT_FILE,
    PAGE_FILE,
    PROFILE_FILE,
    WINDOW,
    CountedWindow,
    Figure,
    WindowRecord,
)
from passerelle.domain.drift.concept import Change, Confirmed, changes
from passerelle.domain.drift.estimated import Estimate, Expected, estimate
from passerelle.domain.drift.judged import Drift
from passerelle.domain.drift.model_monitor import constraints, statistics, violations
from passerelle.domain.drift.page import Heading, drift_page, verdict
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.signal import Signal
from passerelle.domain.monitoring.window_verdict import Arrivals, judge_window, limits_of, moved_columns
from passerelle.domain.monitoring.windows import LENGTHS, Window, window_named
from passerelle.domain.monitoring.worth import Judged, realised_figure
from passerelle.domain.project import Project
from passerelle.steps.served_references import Served

#: Windows before one that say how many rows are usual: as many of its hour, or of its weekday, as these hold.
_EARLIER: Final = 24 * 14
_JSON: Final = "application/json"


class WindowResults:
    """The windows of one project."""

    def __init__(self, project: Project, table: RunsTable, bucket: str) -> None:
        self._project, self._table, self.bucket = project, table, bucket
        self._objects = Objects(client("s3"))

    def of(self, window: Window) -> WindowRecord | None:
        """Return what is written of a window, None where nothing is."""
        with translated(f"window {window.name} of {self._project.name}"):
            item = self._table.item(self._project.name, f"{WINDOW}{window.name}")
        return WindowRecord.model_validate_json(item["record"]) if item else None

    def judge(
        self, window: Window, served: Served, counted: CountedWindow, source: str, *, now: datetime, newest: bool
    ) -> tuple[Drift, WindowRecord]:
        """Judge what was counted, and write it down."""
        whole = served.reference
        assert whole is not None  # windows without a reference are not counted
        reference = whole.only([*counted.profile.get("columns", whole.layout.columns)])
        profile = Profile.from_dict(counted.profile, reference.layout) if counted.profile else None
        limits = limits_of(self._project.monitoring.severities)
        arrivals = self._arrivals(window, counted, now, newest=newest)
        estimated = self._estimated(served, counted)
        realised, change = self._realised(served, counted)
        worth = self._worth(served, estimated, realised, change)
        drift = judge_window(reference, profile, arrivals, limits, worth)
        moved, severities = moved_columns(drift)
        prefix = zones.window_prefix(self._project.name, window.name)
        record = WindowRecord(
            **self._named(window, served, source),
            status="judged" if counted.rows else "empty",
            rows=counted.rows,
            delivered=counted.delivered,
            others=counted.others,
            broken=len(counted.broken),
            severity=drift.severity,
            alarms=len(drift.alarms),
            line=_line(drift, counted),
            moved=moved,
            severities=severities,
            metric=self._project.task.metric,
            estimated=_figures(estimated, served.performance),
            unknown=self._unknown(served, estimated, counted, change),
            labelled=Confirmed.from_dict(counted.confirmed).true.rows if counted.confirmed else 0,
            conflicts=counted.conflicts,
            unshared=counted.unshared,
            strangers=counted.strangers,
            realised=_figures(realised, served.performance),
            why=change.why if change is not None else "",
            prefix=zones.s3_uri(self.bucket, prefix),
            judged_at=utc_now(),
        )
        self._write(prefix, {DRIFT_FILE: {**record.model_dump(), "counted": counted.model_dump(exclude={"profile"}),
                                          "drift": drift.to_dict()}})  # fmt: skip
        if profile is not None:
            self._write_profile(prefix, window, served, drift, reference, profile)
        self._keep(record)
        return drift, record

    def _estimated(self, served: Served, counted: CountedWindow) -> dict[str, Estimate]:
        """Return the model's metrics as they probably are, nothing where nothing says."""
        if served.performance is None or not counted.expected:
            return {}
        return estimate(served.performance, Expected.from_dict(counted.expected))

    def _realised(self, served: Served, counted: CountedWindow) -> tuple[dict[str, Estimate], Change | None]:
        """Return the metrics as labels show them, and why the project's metric changed."""
        if served.performance is None or not counted.confirmed:
            return {}, None
        found = changes(served.performance, Confirmed.from_dict(counted.confirmed))
        told = {name: realised_figure(change) for name, change in found.items()}
        known = {name: figure for name, figure in told.items() if figure is not None}
        return known, found.get(self._project.task.metric)

    def _unknown(
        self, served: Served, estimated: Mapping[str, Estimate], counted: CountedWindow, change: Change | None
    ) -> dict[str, str]:
        """Say why the project's metric is not known, where rows came."""
        if not counted.rows:
            return {}
        if served.performance is None:
            return {"estimated": f"the run of version {served.version} left nothing that says what its errors are like"}
        metric, known = self._project.task.metric, served.performance.baseline
        if metric not in known:
            why = f"{metric} of windows is not known for this task: {', '.join(known)} are"
            return {"estimated": why, "realised": why}
        guess, found = estimated.get(metric), dict[str, str]()
        if guess is None or guess.value is None:
            found["estimated"] = guess.reason if guess is not None else "no row was counted for it"
        if change is None or change.now is None:
            found["realised"] = change.reason if change is not None else "no label is known yet"
        return {how: f"{why} {_unshared(counted)}".strip() for how, why in found.items()}

    def _worth(
        self,
        served: Served,
        estimated: Mapping[str, Estimate],
        realised: Mapping[str, Estimate],
        change: Change | None,
    ) -> list[Signal]:
        """Say what was lost of the project's metric: what labels show, and beside it what was estimated."""
        judged, before = judged_by(self._project), _before(served.performance)
        found = list[Signal]()
        lost, guessed = judged.loss(realised, before), judged.loss(estimated, before)
        if lost is not None:
            signal = judged.signal("realised", lost, realised[judged.metric], before[judged.metric])
            found.append(replace(signal, words=change.words) if change is not None and change.why else signal)
        if guessed is not None:
            found.append(judged.signal("estimated", guessed, estimated[judged.metric], before[judged.metric]))
        return found

    def unjudged(self, window: Window, served: Served, source: str, why: str, *, files: int) -> WindowRecord:
        """Write down why a window is not judged."""
        record = WindowRecord(
            **self._named(window, served, source),
            status="unjudged" if files else "empty",
            line=f"{'Not judged' if files else 'No rows came; nothing could be judged'}: {why}",
            judged_at=utc_now(),
        )
        self._keep(record)
        return record

    def _named(self, window: Window, served: Served, source: str) -> dict[str, Any]:
        return {
            "project": self._project.name,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "source": source,
            "version": served.version,
            "run_id": served.run_id,
        }

    def _arrivals(self, window: Window, counted: CountedWindow, now: datetime, *, newest: bool) -> Arrivals:
        """Say how many rows came: all versions count. None is due where none ever came, or usually comes."""
        schedule = self._project.monitoring.schedule
        known = self._before(window)
        like = [record for record in known if window.is_like(window_named(record.start, schedule), schedule)]
        earlier = [record.rows + sum(record.others.values()) for record in like]
        latest = datetime.fromisoformat(counted.latest) if counted.latest else None
        if latest is None:
            ends = [record for record in known if record.rows or record.others]
            latest = datetime.fromisoformat(ends[0].end) if ends else None
        quiet = bool(earlier) and not any(earlier)
        grace = timedelta(minutes=self._project.monitoring.grace_minutes)
        due = LENGTHS[schedule] + grace if newest and latest and not quiet else None
        rows = counted.rows + sum(counted.others.values())
        return Arrivals(rows=rows, earlier=earlier, latest=latest, now=now, due=due)

    def _before(self, window: Window) -> list[WindowRecord]:
        """Return the windows before one, the newest first."""
        with translated(f"windows of {self._project.name}"):
            items = self._table.items(self._project.name, WINDOW, newest_first=True, limit=_EARLIER)
        records = [WindowRecord.model_validate_json(item["record"]) for item in items]
        return [record for record in records if datetime.fromisoformat(record.start) < window.start]

    def _write_profile(
        self, prefix: str, window: Window, served: Served, drift: Drift, reference: Reference, profile: Profile
    ) -> None:
        types = {c.name: c.type for c in (*self._project.data.columns, *self._project.derived_columns)}
        limits = limits_of(self._project.monitoring.severities)
        documents = {
            PROFILE_FILE: profile.to_dict(),
            "statistics.json": statistics(reference.layout, profile, types),
            "constraints.json": constraints(reference, types, limits),
            "constraint_violations.json": violations(drift),
        }
        self._write(prefix, documents)
        heading = Heading(project=self._project.name, window=window.words, model=f"version {served.version}")
        page = drift_page(heading, drift, reference, profile).encode()
        self._objects.write(self.bucket, f"{prefix}/{PAGE_FILE}", page, content_type="text/html; charset=utf-8")

    def _write(self, prefix: str, documents: dict[str, Any]) -> None:
        for name, document in documents.items():
            text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
            self._objects.write(self.bucket, f"{prefix}/{name}", text, content_type=_JSON)

    def _keep(self, record: WindowRecord) -> None:
        name = window_named(record.start, self._project.monitoring.schedule).name
        with translated(f"window {name} of {self._project.name}"):
            self._table.put(self._project.name, f"{WINDOW}{name}", record=record.model_dump_json())


def judged_by(project: Project) -> Judged:
    """Return what a project's model is judged by."""
    limits, better = project.monitoring.severities.loss, project.greater_is_better
    return Judged(metric=project.task.metric, greater_is_better=better, limits=limits)


def _figures(found: Mapping[str, Estimate], performance: PerformanceReference | None) -> dict[str, Figure]:
    before = _before(performance)
    return {
        name: Figure(value=one.value, lower=one.lower, upper=one.upper, before=before.get(name))
        for name, one in found.items()
        if one.value is not None and one.lower is not None and one.upper is not None
    }


def _before(performance: PerformanceReference | None) -> dict[str, float]:
    """Return each metric as the test rows make it expected."""
    return {name: float(found[0]) for name, found in performance.baseline.items()} if performance is not None else {}


def _line(drift: Drift, counted: CountedWindow) -> str:
    """Return the verdict in a sentence, and what of the records was not judged."""
    parts = [verdict(drift)]
    others = sum(counted.others.values())
    if others:
        parts.append(f"{others:,} predictions of other models are not compared ({', '.join(counted.others)}).")
    if counted.conflicts:
        parts.append(f"{counted.conflicts:,} predictions were told two labels that differ, and count as unlabelled.")
    if counted.strangers:
        parts.append(
            f"{counted.strangers:,} labels are of classes that the model does not know ({', '.join(counted.strange)}): "
            "it counts as wrong there."
        )
    if counted.unshared:
        parts.append(_unshared(counted))
    if counted.broken:
        first = next(iter(counted.broken.items()))
        parts.append(f"{len(counted.broken):,} files could not be read, first {first[0]}: {first[1]}.")
    return " ".join(parts)


def _unshared(counted: CountedWindow) -> str:
    """Say of how many predictions of several classes only the likeliest one's probability is known."""
    if not counted.unshared:
        return ""
    return (
        f"{counted.unshared:,} of {counted.rows:,} predictions were recorded without the probability of each class, as "
        "earlier versions did: what they were worth is not known."
    )
