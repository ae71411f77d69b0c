"""`passerelle drop`: put files into the raw zone and follow the run they start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.failures import RunNotServedError
from cli.session import Session
from passerelle.contracts.runs import RunRecord

if TYPE_CHECKING:
    from passerelle.aws.deployed import DroppedFile


@click.command()
@click.argument("project")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--no-follow", is_flag=True, help="Return when the files are uploaded.")
@click.pass_obj
def drop(session: Session, project: str, files: tuple[Path, ...], no_follow: bool) -> None:
    """Drop FILES into the raw zone of PROJECT and follow the run that they start.

    Files dropped together make one run. Exit code 6 when no new model is served in the end.
    """
    dropped = upload(session, project, files)
    records = [] if no_follow else follow_drop(session, project, dropped)
    if session.as_json:
        document = {
            "dropped": [vars(file) for file in dropped],
            "runs": [record.model_dump(mode="json") for record in records],
        }
        session.print_json(document)
    require_served(records)


def upload(session: Session, project: str, files: tuple[Path, ...]) -> list[DroppedFile]:
    """Upload with a progress bar."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=session.console, transient=True) as bar:
        total = sum(path.stat().st_size for path in files if path.is_file())
        task = bar.add_task(f"Dropping {len(files)} files", total=total)
        dropped = session.platform.drop(project, files, progress=lambda sent: bar.advance(task, sent))
    session.console.print(
        f"[green]✓[/] Dropped {len(dropped)} file(s), {sum(file.size for file in dropped):,} bytes, "
        f"into s3://{dropped[0].bucket}/{project}/"
    )
    return dropped


def follow_drop(session: Session, project: str, dropped: list[DroppedFile]) -> list[RunRecord]:
    """Follow every run that took one of the files; returns their final records."""
    from cli.follow import runs_of_drop
    from cli.narrate import narrate_run
    from cli.show import show_run

    finished: dict[str, RunRecord] = {}
    with session.console.status("Waiting for the run to start"):
        waiting = runs_of_drop(session.platform, project, dropped)
        first = next((runs for runs in waiting if runs), set())
    for run_id in sorted(first):
        finished[run_id] = narrate_run(session, project, run_id)
    for runs in waiting:
        for run_id in sorted(runs - finished.keys()):
            finished[run_id] = narrate_run(session, project, run_id)
    if not session.as_json:
        for record in finished.values():
            show_run(session.console, record)
    return list(finished.values())


def require_served(records: list[RunRecord]) -> None:
    """Raise RunNotServedError when a run ended without a newly served model."""
    for record in records:
        if record.status != "succeeded":
            raise RunNotServedError(
                f"Run {record.run_id} ended {record.status}. `passerelle runs show {record.run_id}` says why."
            )
