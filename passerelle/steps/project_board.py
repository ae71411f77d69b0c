"""Read all that the page of a project shows, through AWS's APIs only: the same on the laptop and on AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from passerelle.aws.dashboards import read_alarms, read_body, read_panels
from passerelle.aws.deployed import DeployedPlatform, refusals_translated
from passerelle.aws.monitored import Monitored, read_monitored
from passerelle.aws.objects import Objects
from passerelle.contracts import naming
from passerelle.domain.dashboard.board import About, Alarm, Board, Panel
from passerelle.domain.monitoring.incidents import Watch
from passerelle.domain.project import Project
from passerelle.errors import InputError, PasserelleError
from passerelle.steps.change_champion import read_history
from passerelle.steps.project_source import read_project_as

#: What a page shows of metrics, by the name that its address and the command line give it.
SPANS: Final = {
    "3h": timedelta(hours=3),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
    "4w": timedelta(weeks=4),
}
DEFAULT_SPAN: Final = "1d"
_WINDOWS: Final = 48


def read_boards(platform: DeployedPlatform) -> list[Board]:
    """Return all projects at this moment, without the metrics of their graphs."""
    return [read_board(platform, project, span=None) for project in platform.projects()]


def read_board(
    platform: DeployedPlatform, project: str, *, now: datetime | None = None, span: str | None = DEFAULT_SPAN
) -> Board:
    """Return everything about a project at this moment; what cannot be read is named in it, the rest is shown.

    Graphs show the last `span`; with None they are not read.

    Raises NotFoundError when the project is not deployed, InputError for a span that is none of SPANS, TransientError
    when the environment does not answer.
    """
    now = now or datetime.now(UTC)
    length = span_named(span) if span else None
    platform.need_project(project)
    missing = list[str]()
    monitored, panels, alarms = Monitored((), None), list[Panel](), list[Alarm]()
    with _noted(missing, "its windows"):
        monitored = read_monitored(platform, project, limit=_WINDOWS)
    with _noted(missing, "its dashboard"):
        body = read_body(platform, naming.endpoint_name(platform.environment, project)) if length else None
        panels = read_panels(platform, body, now=now, span=length) if body and length else []
    with _noted(missing, "its alarms"):
        alarms = project_alarms(platform, project)
    with refusals_translated(platform.environment):
        history = read_history(platform.runs_table, project)
    endpoint = platform.endpoint_status(project)
    return Board(
        project=project,
        environment=platform.environment,
        now=now,
        about=_about(platform, project),
        panels=panels,
        alarms=alarms,
        incidents=Watch.from_dict({"recent": (), "alarmed": {}, "incidents": monitored.incidents}).incidents,
        windows=monitored.windows,
        runs=history.records[::-1],
        promotions=history.promotions[::-1],
        champion=history.champion,
        endpoint=endpoint["EndpointStatus"] if endpoint else None,
        missing=missing,
    )


def project_alarms(platform: DeployedPlatform, project: str) -> list[Alarm]:
    """Return the alarms of a project's windows and of its endpoint."""
    endpoint = f"{naming.endpoint_name(platform.environment, project)}."
    own = f"passerelle-{platform.environment}-Monitoring-Watch-{project}-"
    # Another project's name may begin with this one's.
    return [
        alarm
        for alarm in read_alarms(platform, [own, endpoint])
        if "-" not in alarm.name.removeprefix(own) or alarm.name.startswith(endpoint)
    ]


def span_named(name: str) -> timedelta:
    """Return a span; raises InputError naming those that there are."""
    if name not in SPANS:
        raise InputError(f"There is no span {name!r}. Spans: {', '.join(SPANS)}.")
    return SPANS[name]


def _about(platform: DeployedPlatform, project: str) -> About:
    with refusals_translated(platform.environment):
        archive = platform.parameter(naming.project_parameter(platform.environment, project))
        declared: Project = read_project_as(Objects(platform.client("s3")), archive, project)
    return About(
        objective=declared.why.objective,
        owner=declared.why.owner,
        metric=declared.task.metric,
        currency=declared.why.value.currency if declared.why.value else None,
        budget_usd=declared.budget.monthly_usd,
    )


@contextmanager
def _noted(missing: list[str], what: str) -> Iterator[None]:
    """Go on without a part that the caller may not read, or that is broken."""
    try:
        yield
    except (PasserelleError, ValueError) as error:
        missing.append(f"Not shown: {what}. {error}")
