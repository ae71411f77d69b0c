"""`passerelle logs`: what jobs, endpoints and functions wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli.session import Session
from passerelle.contracts import naming

if TYPE_CHECKING:
    from passerelle.aws.deployed import LogLine

KINDS = ("run", "job", "endpoint", "lambda")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--stage", help="Only this stage of a run (prepare, tune, train, evaluate).")
@click.option("--since", "minutes", type=float, help="Only the last MINUTES.")
@click.option("--follow", "-f", is_flag=True, help="Go on printing new lines until Ctrl-C.")
@click.pass_obj
def logs(session: Session, kind: str, name: str, stage: str | None, minutes: float | None, follow: bool) -> None:
    """Print log lines from CloudWatch.

    \b
    passerelle logs run latest               every job of the newest run
    passerelle logs job JOB                  one SageMaker job
    passerelle logs endpoint flights         the project's endpoint
    passerelle logs lambda claim_drop        one function
    """
    since = datetime.now(UTC) - timedelta(minutes=minutes) if minutes is not None else None
    groups = _groups(session, kind, name, stage)
    seen: set[tuple[datetime, str, str]] = set()
    while True:
        for line in _lines(session, groups, since):
            if (identity := (line.moment, line.stream, line.text)) not in seen:
                seen.add(identity)
                _print(session, line)
        if not follow:
            return
        time.sleep(0.5)


def _groups(session: Session, kind: str, name: str, stage: str | None) -> list[tuple[str, str]]:
    """Return the log groups and stream prefixes that hold the wanted lines."""
    if kind == "lambda":
        return [(session.platform.resource(f"log-group-{name}"), "")]
    if kind == "endpoint":
        return [(f"/aws/sagemaker/Endpoints/{naming.endpoint_name(session.environment, name)}", "")]
    if kind == "job":
        return [(f"/aws/sagemaker/{jobs}", name) for jobs in ("ProcessingJobs", "TrainingJobs", "TransformJobs")]
    from cli.follow import LOG_GROUPS

    record = session.platform.find_run(name)
    return [
        (LOG_GROUPS[part.stage], part.job_name)
        for part in record.stages
        if part.job_name and part.stage in LOG_GROUPS and stage in (None, part.stage)
    ]


def _lines(session: Session, groups: list[tuple[str, str]], since: datetime | None) -> Iterator[LogLine]:
    for group, prefix in groups:
        yield from session.platform.log_lines(group, prefix=prefix, since=since)


def _print(session: Session, line: LogLine) -> None:
    if session.as_json:
        import json

        click.echo(json.dumps({"time": line.moment.isoformat(), "stream": line.stream, "message": line.text}))
    else:
        click.echo(f"{line.moment:%H:%M:%S} {line.text}")
