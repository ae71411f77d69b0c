"""A project's board for tests of its page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from passerelle.contracts.monitoring import Figure, SeverityName, WindowRecord
from passerelle.domain.dashboard.board import About, Alarm, Board
from passerelle.domain.monitoring.incidents import Incident

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def window(day: int, **changes: Any) -> WindowRecord:
    """Return a quiet window of a day of November."""
    start = datetime(2026, 11, day, tzinfo=UTC)
    found: dict[str, Any] = {
        "project": "flights",
        "start": start.isoformat(),
        "end": (start + DAY).isoformat(),
        "status": "judged",
        "source": "s",
        "version": "4",
        "rows": 1_234,
        "line": "Nothing alarms: the rows are like the training data.",
        "moved": {"distance": 0.01, "origin": 0.02},
        "judged_at": (start + DAY).isoformat(),
        "prefix": f"s3://reports/flights/monitoring/{day}",
    }
    return WindowRecord(**{**found, **changes})


def moved(day: int, column: str, share: float, severity: SeverityName) -> WindowRecord:
    """Return a window in which a column moved."""
    line = f"{column}: {share:.0%} of rows moved ({severity})."
    return window(day, severity=severity, alarms=1, line=line, moved={"distance": 0.01, "origin": 0.02, column: share},
                  severities={column: severity})  # fmt: skip


def figure(value: float, before: float | None = 0.75) -> Figure:
    """Return a metric with its interval."""
    return Figure(value=value, lower=value - 0.02, upper=value + 0.02, before=before)


def incident(**changes: Any) -> Incident:
    """Return an incident of drift that lasts since 20 November."""
    found: dict[str, Any] = {
        "cause": "drift",
        "since": "2026-11-20T00:00+00:00",
        "last": "2026-11-21T00:00+00:00",
        "severity": "major",
        "columns": ("distance",),
        "words": "distance: +31 % of rows above 1,200",
    }
    return Incident(**{**found, **changes})


def alarm(name: str = "passerelle-laptop-Monitoring-Watch-flights-Drift", **changes: Any) -> Alarm:
    """Return an alarm that rings and tells nobody."""
    found: dict[str, Any] = {"state": "ALARM", "since": NOW - DAY, "description": "It rings", "told": "nobody"}
    return Alarm(name=name, **{**found, **changes})


def board(**changes: Any) -> Board:
    """Return a board on which nothing is wrong, with three quiet windows."""
    about = About(objective="Warn passengers", owner="o@example.com", metric="roc_auc", currency="EUR")
    found: dict[str, Any] = {
        "project": "flights",
        "environment": "laptop",
        "now": NOW,
        "about": about,
        "windows": [window(day) for day in (21, 20, 19)],
        "champion": "4",
        "endpoint": "InService",
    }
    return Board(**{**found, **changes})
