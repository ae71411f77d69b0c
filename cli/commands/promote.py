"""`passerelle promote`: make another registered version the champion, by hand."""

from __future__ import annotations

import click

from cli.session import Session, common_options


@click.command()
@click.argument("project")
@click.option("--version", help="The registered version.")
@click.option("--run", help="The run that made it, or an unambiguous part of its id.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is served, or at once.")
@common_options
@click.pass_obj
def promote(
    session: Session,
    project: str,
    version: str | None,
    run: str | None,
    reason: str,
    wait: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Serve another version of PROJECT: the newest that the gate passed and that was never served, or the one named.

    It takes over as at the end of a run: shadow, rollout, alarms, the model's own example. What the gate refused is
    not served, whoever asks. `passerelle rollback` goes back.
    """
    from cli.champion import asked_by, deploy, warn_of_runs
    from passerelle.steps.change_champion import promotion_request, read_history

    if version and run:
        raise click.UsageError("Give either --version or --run.")
    session = session.told(environment, as_json)
    platform = session.platform
    platform.need_project(project)
    history = read_history(platform.runs_table, project)
    asked = asked_by(session, "promote", reason)
    bucket = platform.resource("models-bucket")
    request = promotion_request(platform.runs_table, bucket, history, asked, version=version, run=run)
    warn_of_runs(session, history)
    result = deploy(session, request, wait=wait)
    if session.as_json:
        session.print_json({**result, "before": history.champion})
