"""`passerelle advise`: the cheapest training instance for a data size."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.domain.cost.advice import Advice, Offer, Question

#: Without a project: what is tried when a project does not say otherwise.
DEFAULT_TASK = "binary"
SHOWN = 8


@click.command()
@click.option("--rows", type=click.IntRange(1), required=True, help="Rows of data, all periods together.")
@click.option("--columns", type=click.IntRange(1), help="Input columns; default: those of the project.")
@click.option("--project", "project_file", type=click.Path(path_type=Path),
              help="A project.yaml, or its folder: candidates, task, columns, split.")  # fmt: skip
@click.option("--region", help="Where prices are taken from; default: the environment's region.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def advise(
    session: Session, rows: int, columns: int | None, project_file: Path | None, region: str | None, as_json: bool
) -> None:
    """Propose the cheapest training instance for a number of rows, from measured fits and AWS's prices.

    Exit code 3 when the size was not measured: no figure is made up.
    """
    from passerelle.domain.cost.advice import advise as find

    question = _question(rows, columns, project_file, region or _region(session))
    advice = find(question)
    if advice.problem:
        raise InputError(advice.problem)
    if session.as_json or as_json:
        session.print_json({"question": asdict(question), **asdict(advice)})
    else:
        _show(session, question, advice)


def _region(session: Session) -> str:
    if session.on_laptop:
        return session.laptop_settings.region
    from cli.account import load_environment
    from cli.deployment import ROOT

    return load_environment(session.environment, ROOT)[0].region


def _question(rows: int, columns: int | None, project_file: Path | None, region: str) -> Question:
    from passerelle.domain.cost.advice import Question
    from passerelle.domain.project import load_project
    from passerelle.domain.project.metric_names import CANDIDATES
    from passerelle.domain.project.training import Training

    if project_file is None:
        if columns is None:
            raise InputError("Say how many input columns there are (--columns), or name a project (--project).")
        task, candidates, training = DEFAULT_TASK, CANDIDATES[DEFAULT_TASK], Training()
    else:
        path = project_file / "project.yaml" if project_file.is_dir() else project_file
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; name a project.yaml or its folder.")
        project = load_project(path.read_text(encoding="utf-8"), source=str(path))
        task, candidates, training = project.task.type, project.candidates, project.training
        columns = columns or len(project.feature_columns) + bool(training.time_features)
    return Question(
        rows=max(1, round(rows * (1 - training.split.validation - training.split.test))),
        columns=columns,
        candidates=tuple(candidates),
        task=task,
        region=region,
        checkpoint_seconds=training.checkpoint_seconds,
    )


def _show(session: Session, question: Question, advice: Advice) -> None:
    from rich.table import Table

    console, best = session.console, advice.offers[0]
    how = "on spot" if best.spot_usd is not None and best.spot_usd < best.usd else "on demand"
    console.print(
        f"[bold]{best.instance_type}[/] {how}: {best.least_usd:.4f} USD for {_time(best)} of fits "
        f"({question.rows:,} training rows × {question.columns} columns, {question.region})."
    )
    console.print(f"The largest fit needs {advice.memory_gib:.1f} GiB.")
    table = Table(
        "Instance", "vCPU", "GiB", "GPU", "Fits", "On demand", "Spot", "Interruptions", box=None, padding=(0, 2)
    )
    for offer in advice.offers[:SHOWN]:
        spot = "unknown" if offer.spot_usd is None else f"{offer.spot_usd:.4f}"
        expected = "" if offer.interruptions is None else f"{offer.interruptions:.4f}"
        usd = f"{offer.usd:.4f}{' (derived)' if offer.price_derived else ''}"
        table.add_row(
            offer.instance_type, str(offer.vcpus), f"{offer.memory_gib:g}", offer.gpu, _time(offer), usd, spot, expected
        )
    console.print(table)
    for note in advice.notes:
        console.print(f"[dim]{note}[/]", soft_wrap=True)


def _time(offer: Offer) -> str:
    seconds = offer.hours * 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
