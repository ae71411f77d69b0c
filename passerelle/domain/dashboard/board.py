"""All that the page of a project shows, as values: what reads it knows AWS, what draws it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from passerelle.contracts.monitoring import VALUE, WindowRecord
from passerelle.contracts.promotions import Promotion
from passerelle.contracts.runs import RunRecord
from passerelle.domain.dashboard.body import Widget
from passerelle.domain.dashboard.lines import Line
from passerelle.domain.monitoring.incidents import Incident

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm as CloudWatch judges it now; `since` is when it came into this state.

    `told` says whom: those that page, those that notify; nobody where it is a state to look at only.
    """

    name: str
    state: AlarmState
    since: datetime
    description: str
    arn: str = ""
    told: Literal["page", "notify", "nobody"] = "notify"

    @property
    def short(self) -> str:
        """The part of its name that says what it watches: `…-Drift`, `<endpoint>.errors.<hash>`."""
        parts = self.name.split(".")
        return f"Endpoint {parts[1]}" if len(parts) > 1 else self.name.rpartition("-")[2]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A widget of the dashboard with what it shows from `start` to `end`; `problems` say why lines are missing."""

    widget: Widget
    start: datetime
    end: datetime
    lines: Sequence[Line] = ()
    problems: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class About:
    """What a project declares: `metric` judges its model, `currency` is None where no money is said."""

    objective: str
    owner: str
    metric: str
    currency: str | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """One project in one environment at a moment. `windows`, `runs` and `promotions` are newest first.

    `champion` is the version that is served, None where none is; `endpoint` SageMaker's status of the endpoint.
    """

    project: str
    environment: str
    now: datetime
    about: About
    panels: Sequence[Panel] = ()
    alarms: Sequence[Alarm] = ()
    incidents: Sequence[Incident] = ()
    windows: Sequence[WindowRecord] = ()
    runs: Sequence[RunRecord] = ()
    promotions: Sequence[Promotion] = ()
    champion: str | None = None
    endpoint: str | None = None
    #: What could not be read, in sentences: the page shows the rest.
    missing: Sequence[str] = field(default=())

    @property
    def money(self) -> bool:
        """Whether windows say what the model's decisions, or its errors, are worth."""
        return self.about.currency is not None and any(
            figures.get(VALUE) for record in self.windows for figures in (record.estimated, record.realised)
        )
