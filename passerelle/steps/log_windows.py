"""Tell MLflow what windows showed, with the run of the model that was asked: how it fared the longer it served."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from passerelle.aws.clients import client, translated
from passerelle.aws.mlflow_batches import Point
from passerelle.aws.runs_table import RunsTable
from passerelle.aws.tracking_login import sign_in
from passerelle.aws.window_log import WindowLog, metric_name
from passerelle.contracts.monitoring import LOGGED, WINDOW, WindowRecord
from passerelle.domain.drift.signal import SEVERITIES
from passerelle.domain.monitoring.windows import LENGTHS, window_at
from passerelle.domain.project import Project
from passerelle.errors import NotFoundError
from passerelle.settings import LogWindowsSettings
from passerelle.steps.project_source import read_project

LOG: Final = logging.getLogger(__name__)
#: So many windows back those that were judged again are looked for.
_WINDOWS: Final = 400


def log_windows(request: dict[str, Any], settings: LogWindowsSettings) -> dict[str, Any]:
    """Log the windows that were judged since the last call; returns the request as it came.

    Raises TransientError when AWS or MLflow does not answer: the next call logs what this one did not.
    """
    try:
        project = read_project(settings.environment, str(request["project"])).project
    except NotFoundError:
        return request
    table = RunsTable(client("dynamodb"), settings.runs_table)
    with translated(f"windows of {project.name}"):
        items = table.items(project.name, WINDOW, newest_first=True, limit=_WINDOWS)
        until = str((table.item(project.name, LOGGED) or {}).get("until", ""))
    records = [WindowRecord.model_validate_json(item["record"]) for item in items]
    new = sorted((record for record in records if record.judged_at > until), key=lambda record: record.start)
    if not new:
        return request
    sign_in(settings.tracking_secret)
    log = WindowLog(settings.tracking_uri, project.name, settings.environment)
    for run_id in sorted({record.run_id for record in new if record.run_id}):
        _log(log, table, project, run_id, [record for record in new if record.run_id == run_id])
    with translated(f"windows of {project.name}"):
        table.put(project.name, LOGGED, until=max(record.judged_at for record in new))
    return request


def _log(log: WindowLog, table: RunsTable, project: Project, run_id: str, windows: Sequence[WindowRecord]) -> None:
    try:
        with translated(f"run {run_id} of {project.name}"):
            run = table.need(project.name, run_id)
    except NotFoundError:
        return
    schedule = project.monitoring.schedule
    first = window_at(datetime.fromisoformat(run.created_at), schedule).start
    points = list[Point]()
    for record in windows:
        end = datetime.fromisoformat(record.end)
        step = (datetime.fromisoformat(record.start) - first) // LENGTHS[schedule]
        moment = int(end.timestamp() * 1_000)
        points += (Point(metric_name("windows", *name), value, moment, step) for name, value in _figures(record))
    newest = windows[-1]
    tags = {"passerelle.window": newest.start, "passerelle.window.line": newest.line}
    if not log.tell(f"{run_id}-{run.attempt}", points, tags):
        LOG.warning("MLflow has no run of %s any more: %d windows are not shown there", run_id, len(windows))


def _figures(record: WindowRecord) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield what is shown of a window; of columns, the rows that moved in those that alarm."""
    yield ("rows",), float(record.rows)
    if record.status != "judged":
        return
    yield ("severity",), float(SEVERITIES.index(record.severity))
    yield ("alarms",), float(record.alarms)
    yield ("labelled",), float(record.labelled)
    yield from ((("moved", name), record.moved[name]) for name in record.severities if name in record.moved)
    for how, figures in (("estimated", record.estimated), ("realised", record.realised)):
        yield from (((how, name), figure.value) for name, figure in figures.items())
