"""`passerelle runs`: what happened to the dropped data."""

from __future__ import annotations

import click

from cli.session import Session
from passerelle.contracts.runs import FINAL_STATUSES
from passerelle.errors import InputError, TransientError

ATTEMPT_SECONDS = 120.0


@click.group(invoke_without_command=True)
@click.option("--project", help="Only the runs of this project.")
@click.option("--limit", default=20, show_default=True, help="How many, newest first.")
@click.pass_context
def runs(ctx: click.Context, project: str | None, limit: int) -> None:
    """List the runs, newest first; `runs show RUN` tells all about one."""
    if ctx.invoked_subcommand:
        return
    session: Session = ctx.obj
    records = session.platform.runs(project, limit=limit)
    if session.as_json:
        session.print_json([record.model_dump(mode="json") for record in records])
        return
    from rich.table import Table

    from cli.show import status_text

    table = Table("Run", "Project", "Status", "Created", "Files", "Chosen", "Model", box=None, padding=(0, 2))
    for record in records:
        files = f"{len(record.files)}"
        model = record.model_version or ""
        table.add_row(
            record.run_id,
            record.project,
            status_text(record),
            record.created_at[:19],
            files,
            record.chosen or "",
            model,
        )
    session.console.print(table if records else "No runs yet. `passerelle drop PROJECT FILE` starts one.")


@runs.command()
@click.argument("run")
@click.pass_obj
def show(session: Session, run: str) -> None:
    """Tell everything about RUN: files, problems, candidates, gate, stages, costs, and who had its model served.

    `latest` is the newest.
    """
    from cli.champion import promotions_of
    from cli.show import show_promotions, show_run

    record = session.platform.find_run(run)
    promotions = promotions_of(session, record)
    if session.as_json:
        document = record.model_dump(mode="json")
        session.print_json(document | {"promotions": [item.model_dump(mode="json") for item in promotions]})
    else:
        show_run(session.console, record)
        show_promotions(session.console, record, promotions)


@runs.command()
@click.argument("run")
@click.pass_obj
def follow(session: Session, run: str) -> None:
    """Follow RUN live until it ends."""
    _follow(session, run)


@runs.command()
@click.argument("run")
@click.option("--no-follow", is_flag=True, help="Return when the new attempt is started.")
@click.pass_obj
def retry(session: Session, run: str, no_follow: bool) -> None:
    """Start the next attempt of a failed RUN, with the same files."""
    found = session.platform.find_run(run)
    if found.origin:
        again = f"carry {found.project} {found.run_id} --from {found.origin.environment}"
        raise InputError(f"Run {found.run_id} was not trained here. `passerelle {again}` goes on.")
    started = session.platform.retry(found)
    session.console.print(f"[green]✓[/] Run {started.run_id}: attempt {started.attempt} started.")
    if not no_follow:
        _follow(session, started.run_id, attempt=started.attempt)
    elif session.as_json:
        session.print_json({"run_id": started.run_id, "attempt": started.attempt})


def _follow(session: Session, run: str, *, attempt: int = 1) -> None:
    import time

    from cli.commands.drop import require_served
    from cli.narrate import narrate_run
    from cli.show import show_run

    record = session.platform.find_run(run)
    deadline = time.monotonic() + ATTEMPT_SECONDS
    while record.attempt < attempt:  # the new attempt's first step writes it into the record
        if time.monotonic() > deadline:
            raise TransientError(
                f"Attempt {attempt} of run {run} has not begun within {ATTEMPT_SECONDS:.0f} s. "
                "`passerelle status` shows whether the platform is at work; `passerelle runs follow` waits again."
            )
        time.sleep(0.3)
        record = session.platform.find_run(run)
    if record.status not in FINAL_STATUSES:
        record = narrate_run(session, record.project, record.run_id)
    if session.as_json:
        session.print_json(record.model_dump(mode="json"))
    else:
        show_run(session.console, record)
    require_served([record])
