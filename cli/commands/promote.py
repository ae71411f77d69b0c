"""`passerelle promote`: make another registered version the champion, by hand."""

from __future__ import annotations

import click

from cli.champion import asked_by, change, read
from cli.session import Session


@click.command()
@click.argument("project")
@click.option("--version", help="The registered version.")
@click.option("--run", help="The run that made it, or an unambiguous part of its id.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is served, or at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be served, or why nothing; change nothing.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def promote(
    session: Session,
    project: str,
    version: str | None,
    run: str | None,
    reason: str,
    wait: bool,
    dry_run: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Serve another version of PROJECT: the newest that the gate passed and that was never served, or the one named.

    It takes over as at the end of a run: shadow, rollout, alarms, the model's own example. What the gate refused is
    not served, whoever asks. `passerelle rollback` goes back.
    """
    from passerelle.steps.change_champion import promotion_request

    if version and run:
        raise click.UsageError("Give either --version or --run.")
    session = session.told(environment, as_json)
    platform, history = session.platform, read(session, project)
    asked = asked_by(session, "promote", reason)
    bucket = platform.resource("models-bucket")
    request = promotion_request(platform.runs_table, bucket, history, asked, version=version, run=run)
    change(session, history, request, wait=wait, dry_run=dry_run)
