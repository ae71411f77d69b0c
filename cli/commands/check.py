"""`passerelle check`: whether a project's files are right, before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.session import Session
from passerelle.errors import InputError

if TYPE_CHECKING:
    from passerelle.contracts.bundle import DerivedFeature
    from passerelle.domain.project import Project

MAX_ROWS: Final = 10_000
SHOWN: Final = 3


@click.command()
@click.argument("name")
@click.option("--rows", type=click.Path(path_type=Path, dir_okay=False), help="A CSV file: its features are shown.")
@click.option("--directory", type=click.Path(path_type=Path), default=Path("projects"), show_default=True,
              help="The folder of all projects.")  # fmt: skip
@click.pass_obj
def check(session: Session, name: str, rows: Path | None, directory: Path) -> None:
    """Check project.yaml and features.py of project NAME, here: features.py is run on this machine."""
    project, derived = _read(directory / name)
    found = _of_rows(project, derived, rows) if rows else {}
    features = [
        {"name": f.name, "type": f.type, "reads": [c.name for c in f.reads], "sql": f.sql, **found.get(f.name, {})}
        for f in derived
    ]
    if session.as_json:
        session.print_json({"project": project.name, "features": features})
    else:
        _show(session, project, features)


def _read(folder: Path) -> tuple[Project, tuple[DerivedFeature, ...]]:
    """Return the project in a folder and its features.

    Raises InputError for a missing file, ProjectError for a wrong one.
    """
    from passerelle.domain.project import load_project

    path = folder / "project.yaml"
    project = load_project(_content(path).decode("utf-8"), source=str(path))
    if project.data.features is None:
        return project, ()
    # Imported here: Ibis takes a second.
    from passerelle.domain.features.source import compile_features

    return project, compile_features(_content(folder / project.data.features.file), project)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}. Name a project's folder below --directory."
        ) from error


def _of_rows(project: Project, derived: tuple[DerivedFeature, ...], path: Path) -> dict[str, dict[str, Any]]:
    """Return, per feature, on how many rows it was computed, how many have it, and its first values."""
    import duckdb

    from passerelle.domain.contract.compiled import FAULTS, LINE, RAW, TEXTS, compile_contract

    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            read = connection.read_csv(str(path), header=True, all_varchar=True, delimiter=project.data.csv.delimiter)
            texts = read.limit(MAX_ROWS).project(
                f"row_number() OVER () AS {LINE}, NULL::VARCHAR[] AS {FAULTS}, NULL::VARCHAR AS {RAW}, *"
            )
            texts.create_view(TEXTS)
            good = connection.sql(compile_contract(project, derived).good).to_arrow_table().to_pydict()
        except duckdb.Error as error:
            words = str(error).splitlines()[0]
            raise InputError(f"{path}: not a CSV file with the contract's columns: {words}.") from error
    return {feature.name: _summary(good[feature.name]) for feature in derived}


def _summary(values: list[Any]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {"rows": len(values), "known": len(known), "examples": known[:SHOWN]}


def _show(session: Session, project: Project, features: list[dict[str, Any]]) -> None:
    from rich.markup import escape

    console = session.console
    console.print(f"[green]✓[/] project.yaml: {len(project.feature_columns)} features, {', '.join(project.candidates)}")
    for feature in features:
        reads = ", ".join(feature["reads"])
        console.print(f"[green]✓[/] {escape(feature['name'])} ({feature['type']}) of {escape(reads)}")
        if "rows" in feature:
            shown = ", ".join(map(str, feature["examples"]))
            console.print(f"    {feature['known']:,} of {feature['rows']:,} rows have it: {escape(shown)}")
