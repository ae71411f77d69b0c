"""What one window shows: its rows beside the reference, how many came, how old the newest one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from passerelle.domain.drift.arrivals import freshness, volume
from passerelle.domain.drift.judged import Drift, judge, rank
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.signal import Limits, Severity, Signal
from passerelle.domain.monitoring.incidents import Cause, cause_of
from passerelle.domain.project.monitoring import Severities


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """How rows came: `rows` now and in `earlier` windows like this one; `latest` is the newest row's moment.

    `due` is after how long without a row there should have been one; None where that is not asked (a window of the
    past).
    """

    rows: int
    earlier: Sequence[int] = ()
    latest: datetime | None = None
    now: datetime
    due: timedelta | None = None


def limits_of(severities: Severities) -> Limits:
    """Return the limits that a project.yaml declares."""
    return Limits(**severities.model_dump(exclude={"loss"}))


def judge_window(
    reference: Reference,
    profile: Profile | None,
    arrivals: Arrivals,
    limits: Limits,
    worth: Sequence[Signal] = (),
) -> Drift:
    """Return a window's verdict, the gravest signals first.

    Parameters
    ----------
    profile : None, or of no rows, where nobody asked the model: then only its arrivals are judged.
    worth : what is said of the model's worth (`worth.Judged.signal`).
    """
    signals = list[Signal](worth)
    if profile is not None and profile.rows:
        signals += judge(reference, profile, limits).signals
    told = volume(arrivals.rows, arrivals.earlier, limits)
    signals += [told] if told else []
    if arrivals.due is not None:
        signals.append(freshness(arrivals.latest, arrivals.now, arrivals.due))
    signals.sort(key=rank)
    rows = profile.rows if profile is not None else 0
    return Drift(rows=rows, reference_rows=reference.profile.rows, signals=tuple(signals))


def moved_columns(drift: Drift) -> tuple[dict[str, float], dict[str, Severity]]:
    """Return, by column, the share of all rows whose distribution moved, and how severe its gravest alarm is.

    An alarm within a segment is one of its column's; what moved there is not what moved of all rows.
    """
    moved = {
        signal.column: round(signal.effect.value, 4)
        for signal in drift.signals
        if signal.column and not signal.segment and signal.kind in ("distribution", "constant")
    }
    severities: dict[str, Severity] = {}
    for signal in drift.alarms:  # the gravest come first
        if signal.column:
            severities.setdefault(signal.column, signal.severity)
    return moved, severities


def severity_by_cause(drift: Drift) -> dict[Cause, Severity]:
    """Return, by cause, how severe its gravest alarm is; causes without one are left out."""
    found: dict[Cause, Severity] = {}
    for signal in drift.alarms:
        found.setdefault(cause_of(signal), signal.severity)
    return found
