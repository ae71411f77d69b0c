"""`passerelle carry`: serve here the model that another environment trained and accepted."""

from __future__ import annotations

import time
from typing import Final

import click

from cli.session import Session
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord

POLL_SECONDS: Final = 1.0


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
        record = _follow(session, record)
    if session.as_json:
        session.print_json(record.model_dump(mode="json"))
    else:
        show_run(session.console, record)
    require_served([record])


def _follow(session: Session, record: RunRecord) -> RunRecord:
    """Say each stage's progress here until the run has ended; what was done elsewhere is told in the end."""
    from cli.narrate import STAGE_WORDS

    told: set[tuple[str, str]] = set()
    while True:
        for stage in record.stages:
            # What trained the model bears a job's name; the stages here have none.
            if stage.job_name is None and (stage.stage, stage.status) not in told:
                told.add((stage.stage, stage.status))
                session.console.print(f"{STAGE_WORDS[stage.stage]}: {stage.status}")
        if record.status in FINAL_STATUSES:
            return record
        time.sleep(POLL_SECONDS)
        record = session.platform.runs_table.need(record.project, record.run_id)
