"""`passerelle drift`: what a project's windows of predictions showed beside the champion's training data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.session import Session
from passerelle.errors import NotFoundError

if TYPE_CHECKING:
    from passerelle.aws.monitored import Monitored
    from passerelle.contracts.monitoring import WindowRecord


@click.command()
@click.argument("project")
@click.option("--window", help="All that was found of one window: its start (2026-11-21T08), or `latest`.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=14, show_default=True, help="So many windows at most.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a PNG, too: the map over time, or the one window's signals.")  # fmt: skip
@click.option("--now", "look", is_flag=True, help="Look first at what is over by now, instead of by the schedule.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def drift(
    session: Session,
    project: str,
    window: str | None,
    limit: int,
    figure: Path | None,
    look: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Show the newest windows of PROJECT: how many predictions, what alarmed, which columns moved, what lasts.

    docs/drift.md says what is compared and when it alarms.
    """
    from cli.show_drift import show_window, show_windows
    from passerelle.aws.monitored import read_monitored, read_window, watch_now

    session = session.told(environment, as_json)
    if look:
        with session.console.status(f"Looking at the windows of {project} that are over"):
            line = watch_now(session.platform, project)
        session.console.print(f"[green]✓[/] {line or 'No window has ended since the last look.'}")
    if window:
        record, found = read_window(session.platform, project, window)
        if figure:
            _draw_window(session, record, found, figure)
        if session.as_json:
            session.print_json({**record.model_dump(mode="json"), "found": found})
        else:
            show_window(session.console, record, found)
        return
    monitored = read_monitored(session.platform, project, limit=limit)
    if figure:
        _draw_map(session, project, monitored, figure)
    if session.as_json:
        windows = [record.model_dump(mode="json") for record in monitored.windows]
        incidents = monitored.incidents
        session.print_json({"project": project, "windows": windows, "incidents": incidents})
    else:
        show_windows(session.console, project, monitored)


def _draw_window(session: Session, record: WindowRecord, found: Mapping[str, Any], path: Path) -> None:
    from passerelle.domain.dashboard.pictures import draw_window

    if not found:
        raise NotFoundError(f"There is nothing to draw of the window {record.start}: {record.line}")
    draw_window(record, found["drift"]["signals"], path)
    session.console.print(f"[green]✓[/] {path}")


def _draw_map(session: Session, project: str, monitored: Monitored, path: Path) -> None:
    from passerelle.domain.dashboard.pictures import draw_map

    if not monitored.windows:
        raise NotFoundError(f"There is nothing to draw: no window of {project} has been looked at yet.")
    draw_map(monitored.windows[::-1], path)
    session.console.print(f"[green]✓[/] {path}")
