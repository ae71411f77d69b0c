"""`passerelle experiment`: an A/B test of a challenger beside the champion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.champion import asked_by, change, deploy, read
from cli.session import Session


@click.group()
def experiment() -> None:
    """Try a challenger on some of the entities, read what came of it at any time, and end the test."""


@experiment.command()
@click.argument("project")
@click.option("--version", help="The registered version to try.")
@click.option("--run", help="The run that made it, or an unambiguous part of its id.")
@click.option("--name", help="The test's name: part of what chooses who meets which model, used once.")
@click.option("--percent", type=click.IntRange(5, 50), help="The challenger's share, if not the declared one.")
@click.option("--spread", type=float, help="Standard deviation of an outcome, if not what the gate measured.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when both answer, or at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be tried, or why nothing; change nothing.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def start(
    session: Session,
    project: str,
    version: str | None,
    run: str | None,
    name: str | None,
    percent: int | None,
    spread: float | None,
    reason: str,
    wait: bool,
    dry_run: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Let a version of PROJECT answer some entities beside the champion, as serving.experiment declares.

    It is the newest that the gate passed and that was never served, or the one named. Until the test ends, runs train
    and register, and deploy nothing.
    """
    from cli.recorded import deployed_project
    from passerelle.steps.change_experiment import beginning_request

    if version and run:
        raise click.UsageError("Give either --version or --run.")
    session = session.told(environment, as_json)
    platform, history = session.platform, read(session, project)
    request = beginning_request(
        platform.runs_table,
        platform.resource("models-bucket"),
        deployed_project(session, project),
        history,
        asked_by(session, "experiment", reason),
        version=version,
        run=run,
        name=name,
        percent=percent,
        spread=spread,
    )
    change(session, history, request, wait=wait, dry_run=dry_run)


@experiment.command()
@click.argument("project")
@click.option(
    "--outcomes",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file of labels that became known, by inference_id or by the contract's entity; may be given again.",
)
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def status(session: Session, project: str, files: tuple[Path, ...], environment: str | None, as_json: bool) -> None:
    """Read the last A/B test of PROJECT: who met which model, and with --outcomes what came of it.

    It may be read at any time and acted on at once. What was read is kept in the reports zone.
    """
    from cli.recorded import reading
    from cli.show_experiment import show_reading
    from passerelle.aws.deployed import refusals_translated
    from passerelle.steps.change_experiment import need_test
    from passerelle.steps.read_experiment import keep_reading, read_experiment

    session = session.told(environment, as_json)
    session.platform.need_project(project)
    with refusals_translated(session.environment):
        test = need_test(session.platform.runs_table, project)
    with reading(session, project) as (reader, declared, progress):
        found = read_experiment(reader, declared, test, files, datetime.now(UTC), progress)
        uri = keep_reading(reader, found)
    if session.as_json:
        session.print_json({**found.model_dump(mode="json"), "uri": uri})
    else:
        show_reading(session.console, found, uri)


@experiment.command()
@click.argument("project")
@click.option("--promote", "promoted", is_flag=True, help="The challenger takes over; else the champion serves alone.")
@click.option("--reason", default="", help="Why; it is kept with who and when.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when one serves alone, or at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be served; change nothing.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def stop(
    session: Session,
    project: str,
    promoted: bool,
    reason: str,
    wait: bool,
    dry_run: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """End the A/B test of PROJECT: the champion serves alone again, or with --promote the challenger."""
    from passerelle.steps.change_experiment import ending_request

    session = session.told(environment, as_json)
    platform = session.platform
    platform.need_project(project)
    asked = asked_by(session, "promote" if promoted else "stop", reason)
    bucket = platform.resource("models-bucket")
    request = ending_request(platform.runs_table, bucket, project, asked, promoted=promoted)
    result = deploy(session, request, wait=wait, dry_run=dry_run)
    if session.as_json:
        session.print_json(result)


@experiment.command()
@click.argument("project")
@click.argument("entity", nargs=-1, required=True)
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def variant(session: Session, project: str, entity: tuple[str, ...], environment: str | None, as_json: bool) -> None:
    """Print the production variant that answers ENTITY in the test at work: TargetVariant of InvokeEndpoint."""
    from passerelle.aws.deployed import refusals_translated
    from passerelle.domain.requests.experiment import target_variant
    from passerelle.errors import InputError
    from passerelle.steps.change_experiment import need_test

    session = session.told(environment, as_json)
    session.platform.need_project(project)
    with refusals_translated(session.environment):
        test = need_test(session.platform.runs_table, project)
    if len(entity) != len(test.entity):
        raise InputError(f"An entity of test {test.name} is {len(test.entity)} values: {', '.join(test.entity)}.")
    if test.ended:
        raise InputError(f"Test {test.name} of {project} ended at {test.ended.at}: name no variant any more.")
    found = target_variant(entity, test.name, test.share)
    if session.as_json:
        session.print_json({"variant": found, "test": test.name, "share": test.share})
    else:
        click.echo(found)
