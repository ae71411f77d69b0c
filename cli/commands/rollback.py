"""`passerelle rollback`: serve again what was served before."""

from __future__ import annotations

import click

from cli.session import Session, common_options


@click.command()
@click.argument("project")
@click.option("--to", "version", help="Any version that was served once; the one before the champion if not given.")
@click.option("--list", "listed", is_flag=True, help="List the versions, and change nothing.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is served, or at once.")
@common_options
@click.pass_obj
def rollback(
    session: Session,
    project: str,
    version: str | None,
    listed: bool,
    reason: str,
    wait: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Serve an earlier version of PROJECT again, without shadow and in one step; no request is lost.

    The endpoint is asked for the model's own example before the version becomes champion. Called again, it goes
    further back.
    """
    from cli.champion import asked_by, deploy, show_versions, versions, warn_of_runs
    from passerelle.steps.change_champion import read_history, rollback_request

    session = session.told(environment, as_json)
    platform = session.platform
    platform.need_project(project)
    history = read_history(platform.runs_table, project)
    if listed:
        return session.print_json(versions(history)) if session.as_json else show_versions(session, history)
    asked = asked_by(session, "rollback", reason)
    bucket = platform.resource("models-bucket")
    request = rollback_request(platform.runs_table, bucket, history, asked, version=version)
    warn_of_runs(session, history)
    result = deploy(session, request, wait=wait)
    if session.as_json:
        session.print_json({**result, "before": history.champion})
