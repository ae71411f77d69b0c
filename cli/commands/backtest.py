"""`passerelle backtest`: how fast the champion's kind of model ages, and every how long to train."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from cli.session import Session
from passerelle.errors import InputError, TransientError

if TYPE_CHECKING:
    from passerelle.aws.backtests import Backtests
    from passerelle.contracts.backtest import BacktestResult

_POLL_SECONDS: Final = {True: 0.5, False: 10.0}
_ENDED: Final = ("Completed", "Failed", "Stopped")
#: Where the project trains on a GPU: models of the past are fitted on processors.
_PROCESSORS: Final = "ml.m5.xlarge"


def _period(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from passerelle.contracts.backtest import PERIOD

    if not re.match(PERIOD, value):
        raise click.BadParameter("month, week, day, or a number of days such as 30d", context, parameter)
    return value


@click.command()
@click.argument("project")
@click.option("--period", default="month", show_default=True, callback=_period, help="month, week, day, or e.g. 30d.")
@click.option("--limit", type=click.FloatRange(0, min_open=True),
              help="What of the metric may be lost to age; 0.01, or 1 % where it is in the label's units.")  # fmt: skip
@click.option("--window", type=click.IntRange(1), help="Learn from so many periods only; from all before if not given.")
@click.option("--instance", help="The instance type of the job; the one that the project trains on if not given.")
@click.option("--job", help="Follow and show a back-test that was started before.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the end, or return when it begins.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def backtest(
    session: Session,
    project: str,
    period: str,
    limit: float | None,
    window: int | None,
    instance: str | None,
    job: str | None,
    wait: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Train PROJECT's champion anew at moments of the past, score it on what came after, and propose a cadence.

    Candidate and parameters are the champion's, the rows those of the newest dataset. Models of different ages are
    compared on the same periods, so that a hard month is not taken for an old model. Nothing is deployed.
    """
    from passerelle.aws.backtests import Backtests

    session = session.told(environment, as_json)
    session.platform.need_project(project)
    backtests = Backtests(session.platform, project)
    name = job or _begin(session, backtests, period, limit, window, instance)
    if not wait:
        session.console.print(f"See it later: `passerelle backtest {project} --job {name}`.", soft_wrap=True)
    found = _followed(session, backtests, name) if wait else backtests.describe(name)
    if found["ProcessingJobStatus"] == "Completed":
        result, uri = backtests.result(name)
        _tell(session, name, result, uri, found)
    elif wait:
        _refuse(project, name, found)
    elif session.as_json:
        session.print_json({"project": project, "job": name, "status": found["ProcessingJobStatus"]})


def _begin(
    session: Session, backtests: Backtests, period: str, limit: float | None, window: int | None, instance: str | None
) -> str:
    """Start a job; returns its name."""
    from cli.recorded import deployed_project
    from passerelle.contracts.backtest import BacktestQuestion
    from passerelle.contracts.naming import backtest_job_name
    from passerelle.domain.project.gpu_types import has_gpu

    declared, champion = deployed_project(session, backtests.project), backtests.champion()
    kind = instance or declared.training.instance_type
    question = BacktestQuestion(
        project=backtests.project,
        run_id=champion.run_id,
        dataset_id=backtests.dataset(champion),
        period=period,
        limit=limit,
        window=window,
        training_usd=champion.cost.known_usd if champion.cost else None,
    )
    name = backtest_job_name(backtests.project, datetime.now(UTC))
    backtests.start(question, champion, declared, name=name, on=_PROCESSORS if has_gpu(kind) else kind)
    session.console.print(
        f"Back-test {name} of {champion.chosen} (run {champion.run_id}) on dataset {question.dataset_id} started.",
        soft_wrap=True,
    )
    return name


def _followed(session: Session, backtests: Backtests, job: str) -> dict[str, Any]:
    """Show how many models of the past are trained and scored until the job has ended; returns its description."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=session.console, transient=True) as bar:
        task = bar.add_task("Waiting for the job to begin", total=None)
        while True:
            found = backtests.describe(job)
            if found["ProcessingJobStatus"] in _ENDED:
                return found
            for event in backtests.events(job, found["CreationTime"] - timedelta(seconds=5)):
                if event["event"] == "backtest_planned":
                    bar.update(task, total=event["trainings"], description=f"Training {event['candidate']} in the past")
                elif event["event"] == "model_aged":
                    bar.update(task, completed=event["done"], description=f"Trained on rows up to {event['trained']}")
            _pause(session)


def _pause(session: Session) -> None:
    time.sleep(_POLL_SECONDS[session.on_laptop])


def _refuse(project: str, job: str, found: dict[str, Any]) -> None:
    """Say why there is no answer.

    Raises InputError for what the job could not work with, TransientError for what another call may cure.
    """
    if found["ProcessingJobStatus"] == "Stopped":
        raise TransientError(f"Back-test {job} was stopped. Call `passerelle backtest {project}` again.")
    reason = found.get("ExitMessage") or found.get("FailureReason") or "SageMaker does not say why."
    raise InputError(f"Back-test {job} failed: {reason}\n`passerelle logs job {job}` shows its log.")


def _tell(session: Session, job: str, result: BacktestResult, uri: str, found: dict[str, Any]) -> None:
    usd = _cost(session, found)
    if session.as_json:
        document = result.model_dump(mode="json", exclude={"cells": {"__all__": {"resamples"}}})
        told = {"job": job, "status": "Completed", "usd": usd, "uri": uri, "every_days": result.every_days}
        session.print_json({**told, **document})
        return
    from rich.markup import escape
    from rich.table import Table

    console, staleness = session.console, result.staleness
    if staleness.curve:
        table = Table(f"Age, {_unit(result.period)}", f"{result.metric} lost", "95 % interval", "Periods compared",
                      box=None, padding=(0, 2))  # fmt: skip
        table.add_row("1", "0", "", "")
        for point in staleness.curve:
            bounds = f"{point.lower:+.4g} to {point.upper:+.4g}"
            table.add_row(str(point.age), f"{point.loss:+.4g}", bounds, str(point.periods))
        console.print(table)
    console.print(f"[bold]{escape(staleness.words)}[/]", soft_wrap=True)
    for note in result.notes:
        console.print(f"[yellow]![/] {escape(note)}", soft_wrap=True)
    if result.every_days is not None:
        rule = "{every_days: " + str(result.every_days) + "}"
        console.print(f"To train so, declare `monitoring: {{retrain: {rule}}}` in project.yaml; other triggers may "
                      "stand beside it.", soft_wrap=True)  # fmt: skip
    price = "of unknown price" if usd is None else f"about USD {usd:.4f} on AWS"
    trainings = len({cell.trained for cell in result.cells})
    console.print(f"[dim]{trainings} trainings of {result.candidate} in {result.seconds:.0f} s, {price}; "
                  f"figure and scores: {uri}[/]", soft_wrap=True)  # fmt: skip


def _unit(period: str) -> str:
    return f"periods of {period}" if period.endswith("d") else f"{period}s"


def _cost(session: Session, found: dict[str, Any]) -> float | None:
    """Return the list price of the job's time on its instance, None where it is unknown."""
    from passerelle.domain.cost.prices import job_cost

    started, ended = found.get("ProcessingStartTime"), found.get("ProcessingEndTime")
    if started is None or ended is None:
        return None
    kind = found["ProcessingResources"]["ClusterConfig"]["InstanceType"]
    region = str(session.platform.client("sagemaker").meta.region_name)
    return job_cost("SageMaker Processing", kind, region, (ended - started).total_seconds())
