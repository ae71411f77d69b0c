"""Incidents: one for each cause, opened when it lasts, told once, closed when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, Self

from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.signal import SEVERITIES, Kind, Severity, Signal

#: What may be the matter, from the source of the data down to the model's worth: a fault shows in all that lies below.
Cause = Literal["arrivals", "absent", "broken", "drift", "answers", "estimated", "realised"]
CAUSES: Final[tuple[Cause, ...]] = ("arrivals", "absent", "broken", "drift", "answers", "estimated", "realised")
Change = Literal["opened", "worsened", "closed"]

_CAUSE_OF: Final[dict[Kind, Cause]] = {
    "volume": "arrivals", "freshness": "arrivals",
    "lost": "absent", "empty": "absent", "missing": "absent",
    "invalid": "broken", "infinite": "broken", "constant": "broken",
    "distribution": "drift", "unseen": "drift", "tail": "drift", "together": "drift", "new": "drift",
    "estimated": "estimated", "realised": "realised",
}  # fmt: skip
#: These say that rows or answers are unlike those that a model learnt from: of another model they say nothing.
_OF_ITS_MODEL: Final = ("drift", "answers", "estimated", "realised")
#: Alarms of these follow from an open incident above them, so they join it instead of opening another one.
_FOLLOWS: Final = ("answers", "estimated", "realised")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When an incident opens and closes: `opens` of the last `windows` windows alarmed; the last `closes` did not.

    A major alarm opens one at once: what is broken is not waited for.
    """

    opens: int = 2
    windows: int = 3
    closes: int = 2


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A cause that lasts. `since` and `last` are the starts of the first and the last window that alarmed, in ISO 8601.

    `columns` and `segments` are all that alarmed, the first ones first; `words` what the gravest signal said when it
    was gravest; `also` other causes that followed from this one. `everywhere` is how grave the last window that alarmed
    was on all rows, "none" where only segments alarmed.
    """

    cause: Cause
    since: str
    last: str
    severity: Severity
    columns: tuple[str, ...]
    words: str
    quiet: int = 0
    also: tuple[Cause, ...] = ()
    segments: tuple[str, ...] = ()
    everywhere: Severity = "none"

    @property
    def id(self) -> str:
        """Cause and first window: the same incident whoever works it out."""
        return f"{self.cause}-{self.since}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """What people are told of an incident, once each."""

    change: Change
    incident: Incident


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is known of a project's windows: those that alarmed lately, by cause, and the incidents that are open.

    `recent` has the starts of the last windows, the newest last; a window that is seen again changes nothing. `model`
    names the model that the last one was compared with the training data of, "" where that is not known.
    """

    model: str = ""
    recent: tuple[str, ...] = ()
    alarmed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()

    def beside(self, model: str) -> Watch:
        """Return what of this holds for a model: nothing that says how rows differ from another's training data."""
        if not self.model or not model or model == self.model:
            return replace(self, model=model or self.model)
        return replace(
            self,
            model=model,
            alarmed={cause: windows for cause, windows in self.alarmed.items() if cause not in _OF_ITS_MODEL},
            incidents=tuple(incident for incident in self.incidents if incident.cause not in _OF_ITS_MODEL),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Return the watch that `to_dict` gave, after JSON as well."""
        incidents = tuple(
            Incident(**{**one, **{name: tuple(one.get(name, ())) for name in ("columns", "also", "segments")}})
            for one in found["incidents"]
        )
        alarmed = {cause: tuple(windows) for cause, windows in found["alarmed"].items()}
        return cls(model=found.get("model", ""), recent=tuple(found["recent"]), alarmed=alarmed, incidents=incidents)


def follow(
    watch: Watch,
    window: str,
    signals: Iterable[Signal],
    rule: Rule | None = None,
    *,
    model: str = "",
    rows: bool = True,
) -> tuple[Watch, tuple[Event, ...]]:
    """Return what is known after another window, and what is to be told.

    Where another model serves than in the window before, what was unlike the training data of that one is over: what
    the new one has not learnt, either, opens an incident of its own.

    Parameters
    ----------
    window : its start in ISO 8601, later than those before it; one that is known already changes nothing.
    signals : of the window; those that alarm count.
    model : whose training data the signals compare with.
    rows : whether any came. A night without requests says nothing of what they would have been: it ends no incident but
        one of arrivals.
    """
    rule = rule or Rule()
    if watch.recent and window <= watch.recent[-1]:
        return watch, ()
    known = watch.incidents
    watch = watch.beside(model)
    learnt = [Event(change="closed", incident=incident) for incident in known if incident not in watch.incidents]
    recent = (*watch.recent, window)[-rule.windows :]
    alarms = _by_cause(signals)
    alarmed: dict[str, tuple[str, ...]] = {
        cause: tuple(
            each for each in (*watch.alarmed.get(cause, ()), *([window] if cause in alarms else [])) if each in recent
        )
        for cause in CAUSES
    }
    events, still_open = learnt, dict[Cause, Incident]()
    for incident in watch.incidents:
        if not rows and incident.cause != "arrivals":
            still_open[incident.cause] = incident
            continue
        kept, event = _continued(incident, window, alarms, rule)
        events += [event] if event else []
        if kept:
            still_open[kept.cause] = kept
    for cause in CAUSES:
        found = alarms.get(cause)
        if found is None or cause in still_open or not _lasts(found, alarmed[cause], rule):
            continue
        above = next((one for one in still_open.values() if cause in _FOLLOWS and _above(one.cause, cause)), None)
        if above:
            still_open[above.cause] = replace(above, also=tuple(dict.fromkeys((*above.also, cause))))
            continue
        opened = _opened(cause, alarmed[cause][0], window, found)
        still_open[cause] = opened
        events.append(Event(change="opened", incident=opened))
    # What followed from an incident in the same window is told with it.
    events = [
        replace(event, incident=still_open[event.incident.cause]) if event.change != "closed" else event
        for event in events
    ]
    kept_alarmed = {cause: windows for cause, windows in alarmed.items() if windows}
    ordered = tuple(sorted(still_open.values(), key=lambda one: CAUSES.index(one.cause)))
    return Watch(model=watch.model, recent=recent, alarmed=kept_alarmed, incidents=ordered), tuple(events)


def cause_of(signal: Signal) -> Cause:
    """Return which cause a signal speaks for."""
    if signal.column in (SCORE, DECISION) and signal.kind not in ("lost", "empty", "missing"):
        return "answers"
    return _CAUSE_OF[signal.kind]


def _by_cause(signals: Iterable[Signal]) -> dict[Cause, list[Signal]]:
    found: dict[Cause, list[Signal]] = {}
    for signal in signals:
        if signal.alarm:
            found.setdefault(cause_of(signal), []).append(signal)
    return found


def _lasts(signals: Sequence[Signal], windows: Sequence[str], rule: Rule) -> bool:
    return len(windows) >= rule.opens or any(signal.severity == "major" for signal in signals)


def _above(one: Cause, other: Cause) -> bool:
    return CAUSES.index(one) < CAUSES.index(other)


def _gravest(signals: Sequence[Signal]) -> Signal:
    return max(signals, key=lambda signal: SEVERITIES.index(signal.severity))


def _opened(cause: Cause, since: str, window: str, signals: Sequence[Signal]) -> Incident:
    first = _gravest(signals)
    return Incident(
        cause=cause,
        since=since,
        last=window,
        severity=first.severity,
        columns=_named(signals),
        words=first.told,
        segments=_segments(signals),
        everywhere=_everywhere(signals),
    )


def _named(signals: Sequence[Signal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(signal.column for signal in signals if signal.column))


def _segments(signals: Sequence[Signal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(signal.segment for signal in signals if signal.segment))


def _everywhere(signals: Sequence[Signal]) -> Severity:
    whole = [signal for signal in signals if not signal.segment]
    return _gravest(whole).severity if whole else "none"


def _continued(
    incident: Incident, window: str, alarms: Mapping[Cause, Sequence[Signal]], rule: Rule
) -> tuple[Incident | None, Event | None]:
    """Return the incident after another window, None when it is over, and what is to be told of it."""
    signals = alarms.get(incident.cause)
    if not signals:
        quiet = replace(incident, quiet=incident.quiet + 1)
        return (None, Event(change="closed", incident=quiet)) if quiet.quiet >= rule.closes else (quiet, None)
    first = _gravest(signals)
    columns = tuple(dict.fromkeys((*incident.columns, *_named(signals))))
    segments = tuple(dict.fromkeys((*incident.segments, *_segments(signals))))
    found = replace(incident, last=window, columns=columns, segments=segments, quiet=0, everywhere=_everywhere(signals))
    if SEVERITIES.index(first.severity) <= SEVERITIES.index(incident.severity):
        return found, None
    worse = replace(found, severity=first.severity, words=first.told)
    return worse, Event(change="worsened", incident=worse)
