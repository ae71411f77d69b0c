"""`passerelle init`: start a project from a data file."""

from __future__ import annotations

from pathlib import Path

import click

from cli.session import Session
from passerelle.errors import InputError


@click.command()
@click.argument("name")
@click.option(
    "--from", "sample", type=click.Path(path_type=Path), help="A sample CSV: its columns and types are taken."
)
@click.option("--label", help="The column to predict.")
@click.option("--event-time", help="The column that says when a row happened.")
@click.option("--entity", help="The column that identifies what a row is about.")
@click.option("--directory", type=click.Path(path_type=Path), default=Path("projects"), show_default=True,
              help="The folder of all projects.")  # fmt: skip
@click.pass_obj
def init(
    session: Session,
    name: str,
    sample: Path | None,
    label: str | None,
    event_time: str | None,
    entity: str | None,
    directory: Path,
) -> None:
    """Write projects/NAME/project.yaml, filled from a sample file where one is given."""
    from cli.scaffold import ProjectChoices, project_yaml

    target = directory / name / "project.yaml"
    if target.exists():
        raise InputError(f"{target} exists; edit it, or choose another name.")
    text = project_yaml(ProjectChoices(name=name, sample=sample, label=label, event_time=event_time, entity=entity))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    if session.as_json:
        session.print_json({"project": name, "path": str(target)})
    else:
        session.console.print(f"[green]✓[/] {target} written. Read it through, then: passerelle deploy")
