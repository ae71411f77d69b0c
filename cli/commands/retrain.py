"""`passerelle retrain`: train a project anew with the rows that were accepted so far."""

from __future__ import annotations

import click

from cli.session import Session


@click.command()
@click.argument("project")
@click.option("--reason", default="", help="Why; it is kept with who.")
@click.option("--no-follow", is_flag=True, help="Return when the run is started.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def retrain(
    session: Session, project: str, reason: str, no_follow: bool, environment: str | None, as_json: bool
) -> None:
    """Begin a run of PROJECT without a drop: the same way through gate and shadow, with all rows accepted so far.

    For projects that keep their drops (training.on_drop: keep), or after project.yaml has changed.
    """
    from cli.commands.drop import require_served
    from cli.narrate import narrate_run
    from cli.show import show_run
    from passerelle.aws.monitored import train_anew

    session = session.told(environment, as_json)
    why = f"by {session.platform.caller()}" + (f": {reason}" if reason else "")
    run_id = train_anew(session.platform, project, why)
    if no_follow:
        session.console.print(f"[green]✓[/] Run {run_id} is begun: `passerelle runs follow {run_id}`.")
        if session.as_json:
            session.print_json({"project": project, "run_id": run_id, "why": why})
        return
    record = narrate_run(session, project, run_id)
    if session.as_json:
        session.print_json(record.model_dump(mode="json"))
    else:
        show_run(session.console, record)
    require_served([record])
