"""Which differences alarm: those that are material and, over all that were looked at, significant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from passerelle.domain.drift.compared import compare
from passerelle.domain.drift.profile import Profile
from passerelle.domain.drift.reference import Reference
from passerelle.domain.drift.signal import SEVERITIES, Limits, Severity, Signal, severity_of


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A window's verdict: its signals, the gravest first."""

    rows: int
    reference_rows: int
    signals: tuple[Signal, ...]

    @property
    def alarms(self) -> tuple[Signal, ...]:
        """The signals that alarm."""
        return tuple(signal for signal in self.signals if signal.alarm)

    @property
    def severity(self) -> Severity:
        """The gravest alarm's."""
        return max((signal.severity for signal in self.alarms), key=SEVERITIES.index, default="none")

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {
            "rows": self.rows,
            "reference_rows": self.reference_rows,
            "severity": self.severity,
            "alarms": len(self.alarms),
            "signals": [signal.to_dict() for signal in self.signals],
        }


def judge(reference: Reference, window: Profile, limits: Limits | None = None) -> Drift:
    """Return what of a window differs from its reference.

    P-values of all columns and segments are adjusted together for the rate of false discoveries (Benjamini & Hochberg
    1995, Journal of the Royal Statistical Society B 57): where nothing changed, at most `limits.false_alarms` of
    windows alarm. All that is asked of segments weighs no more than all that is asked of the whole (weights: Genovese,
    Roeder & Wasserman 2006, Biometrika 93), so that many segments hide nothing.

    Raises LayoutError where the window was counted by another reference.
    """
    limits = limits or Limits()
    signals = compare(reference, window)
    weights = _weights([bool(signal.segment) for signal in signals])
    weighted = [min(1.0, signal.p_value / weight) for signal, weight in zip(signals, weights, strict=True)]
    adjusted = adjusted_p_values(weighted)
    judged = [_judged(signal, p_value, limits) for signal, p_value in zip(signals, adjusted, strict=True)]
    judged.sort(key=rank)
    return Drift(rows=window.rows, reference_rows=reference.profile.rows, signals=tuple(judged))


def rank(signal: Signal) -> tuple[bool, int, bool, float]:
    """Return what the gravest signals have least of: the whole comes before a segment that is as grave."""
    return not signal.alarm, -SEVERITIES.index(signal.severity), bool(signal.segment), signal.adjusted_p_value


def _weights(of_segments: Sequence[bool]) -> list[float]:
    """Return each question's weight, one on average: those of segments together at most half of all."""
    every, inner = len(of_segments), sum(of_segments)
    if 2 * inner <= every:
        return [1.0] * every
    return [every / 2 / (inner if of_segment else every - inner) for of_segment in of_segments]


def _judged(signal: Signal, adjusted: float, limits: Limits) -> Signal:
    """What a column moves all the time is no news: what it moves beyond that counts.

    So far, at least, the window lies from any that moves as usual, as shares of rows that move add up (the triangle
    inequality of the total variation distance).
    """
    beyond = max(0.0, signal.effect.value - signal.usual)
    severity = severity_of(beyond, limits.of(signal.kind, signal.column))
    alarm = severity != "none" and adjusted <= limits.false_alarms
    return replace(signal, adjusted_p_value=adjusted, severity=severity, alarm=alarm)


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by Benjamini and Hochberg's procedure, in the order given."""
    if not p_values:
        return []
    ordered = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values, float)[ordered] * len(p_values) / np.arange(1, len(p_values) + 1)
    least = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    adjusted = np.empty(len(p_values))
    adjusted[ordered] = least
    return [float(value) for value in adjusted]
