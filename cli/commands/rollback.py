"""`passerelle rollback`: serve again what was served before."""

from __future__ import annotations

import click

from cli.champion import asked_by, change, read, show_versions, versions
from cli.session import Session


@click.command()
@click.argument("project")
@click.option("--to", "version", help="Any version that was served once; the one before the champion if not given.")
@click.option("--list", "listed", is_flag=True, help="List the versions, and change nothing.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is served, or at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be served, or why nothing; change nothing.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def rollback(
    session: Session,
    project: str,
    version: str | None,
    listed: bool,
    reason: str,
    wait: bool,
    dry_run: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Serve an earlier version of PROJECT again, without shadow and in one step; no request is lost.

    The endpoint is asked for the model's own example before the version becomes champion. Called again, it goes
    further back.
    """
    from passerelle.steps.change_champion import rollback_request

    session = session.told(environment, as_json)
    platform, history = session.platform, read(session, project)
    if listed:
        return session.print_json(versions(history)) if session.as_json else show_versions(session, history)
    asked = asked_by(session, "rollback", reason)
    bucket = platform.resource("models-bucket")
    request = rollback_request(platform.runs_table, bucket, history, asked, version=version)
    change(session, history, request, wait=wait, dry_run=dry_run)
