"""Whether a window has the rows that it should: too few, too many, too old."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from passerelle.domain.drift.effect import Effect
from passerelle.domain.drift.signal import SEVERITIES, Limits, Signal

#: Fewer windows before this one say nothing of what is usual.
WINDOWS: Final = 5
#: A window of twice or half its usual rows is out of the ordinary, however surely it differs.
_FACTORS: Final = (2.0, 4.0, 10.0)
#: What has no age is this many times too old: a number, as JSON has no infinite one.
_NEVER: Final = 1e6


def volume(rows: int, earlier: Sequence[int], limits: Limits | None = None) -> Signal | None:
    """Return how many rows came beside how many usually do; None where too few windows are known.

    Counts of rows vary more than independent arrivals would, so they are held against a negative binomial law with the
    earlier windows' own mean and variance, in its normal form on the scale of square roots (Anscombe 1948, Biometrika
    35). The earlier windows should be like this one: the same hour, or the same weekday.

    Parameters
    ----------
    rows : of this window.
    earlier : of windows of the same length, in any order.
    """
    if len(earlier) < WINDOWS:
        return None
    limits = limits or Limits()
    counts = np.asarray(earlier, np.float64)
    usual = float(np.median(counts))
    # Three eighths keep the root's variance even near nought; a quarter is Poisson's, the least there can be.
    roots = np.sqrt(counts + 0.375)
    spread = math.sqrt(max(0.25, float(np.var(roots, ddof=1))) * (1 + 1 / len(counts)))
    distance = (math.sqrt(rows + 0.375) - float(np.median(roots))) / spread
    p_value = student_tail(abs(distance), len(counts) - 1)
    factor = max((rows + 1) / (usual + 1), (usual + 1) / (rows + 1))
    severity = SEVERITIES[sum(factor >= limit for limit in _FACTORS)]
    low, high = (max(0.0, math.sqrt(usual + 0.375) + sign * 1.96 * spread) ** 2 for sign in (-1, 1))
    return Signal(
        column="",
        kind="volume",
        effect=Effect(value=factor, lower=(rows + 1) / (high + 1), upper=(rows + 1) / (low + 1)),
        p_value=p_value,
        adjusted_p_value=p_value,
        severity=severity,
        alarm=severity != "none" and p_value <= limits.false_alarms,
        current=float(rows),
        reference=usual,
        words=f"{rows:,} rows (usually {usual:,.0f}, mostly {low:,.0f} to {high:,.0f})",
    )


def freshness(latest: datetime | None, now: datetime, due: timedelta) -> Signal:
    """Return how old the newest row is beside how old it may be.

    Parameters
    ----------
    latest : the newest row's moment, None where there never was one.
    due : after this time without a row there should have been one.
    """
    if latest is None:
        late, age, words = True, _NEVER, "no row ever came"
    else:
        age = (now - latest) / due
        late = age > 1
        words = f"the newest row is of {latest:%Y-%m-%d %H:%M} UTC, {_span(now - latest)} ago (due: {_span(due)})"
        if now < latest:
            words = f"the newest row is of {latest:%Y-%m-%d %H:%M} UTC, {_span(latest - now)} ahead of the clock"
    severity = SEVERITIES[sum(age >= limit for limit in (1.0, 2.0, 4.0))]
    return Signal(
        column="",
        kind="freshness",
        effect=Effect(value=age, lower=age, upper=age),
        p_value=0.0 if late else 1.0,
        adjusted_p_value=0.0 if late else 1.0,
        severity=severity,
        alarm=late,
        words=words,
    )


def _span(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"


def student_tail(distance: float, freedom: int) -> float:
    """Return P(|T| > distance) of Student's law, by its finite sums (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(distance / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom == 1:
        return 1 - 2 * angle / math.pi
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for number in range(3 if odd else 2, freedom - 1, 2):
        term *= (number - 1) / number * cosine**2
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1 - within)
