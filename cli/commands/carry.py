"""`passerelle carry`: serve here the model that another environment trained and accepted."""

from __future__ import annotations

import click

from cli.session import Session


@click.command()
@click.argument("project")
@click.argument("run")
@click.option("--from", "source", required=True, help="The environment that trained the model, such as staging.")
@click.option("--no-follow", is_flag=True, help="Return when it is started.")
@click.pass_obj
def carry(session: Session, project: str, run: str, source: str, no_follow: bool) -> None:
    """Serve the model of RUN of another environment here, as it is: nothing is trained.

    Its bytes, its evaluation and the image that trained it are copied into this account and verified by SHA-256; then
    it is registered with its origin, and deployed. Started again after a failure, it goes on. Exit code 6 when the
    model is not served in the end.
    """
    from cli.commands.drop import require_served
    from cli.narrate import narrate_run
    from cli.show import show_run
    from passerelle.aws.carrying import await_record, start_carrying

    started = start_carrying(session.platform, project, run, source)
    if started.execution_arn is None:
        session.console.print(f"[green]✓[/] Run {run} of {source} was carried to {session.environment} before.")
    elif no_follow:
        session.console.print(f"[green]✓[/] Carrying run {run} from {source}: attempt {started.attempt} started.")
        if session.as_json:
            session.print_json({"run_id": run, "attempt": started.attempt, "execution_arn": started.execution_arn})
        return
    record = await_record(session.platform, project, started)
    if started.execution_arn is not None:
        record = narrate_run(session, project, run)
    if session.as_json:
        session.print_json(record.model_dump(mode="json"))
    else:
        show_run(session.console, record)
    require_served([record])
