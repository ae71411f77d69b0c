"""`passerelle predict`: ask the project's endpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from cli.session import Session
from passerelle.errors import InputError

CONTENT_TYPES = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonlines"}


@click.command()
@click.argument("project")
@click.option("--row", "rows", multiple=True, help='One row as JSON, as in \'{"carrier": "UA", …}\'; may be repeated.')
@click.option(
    "--file", "path", type=click.Path(path_type=Path), help="Rows as .csv, .json or .jsonl; - for CSV on stdin."
)
@click.pass_obj
def predict(session: Session, project: str, rows: tuple[str, ...], path: Path | None) -> None:
    """Ask the endpoint of PROJECT for predictions, as an application would."""
    if bool(rows) == bool(path):
        raise click.UsageError("Give either --row (one or more) or --file.")
    body, content_type = read_request(rows, path)
    answer = json.loads(session.platform.predict(project, body, content_type=content_type))
    if session.as_json:
        session.print_json(answer)
    else:
        show_predictions(session, answer)


def read_request(rows: tuple[str, ...], path: Path | None) -> tuple[bytes, str]:
    """Return the body of a request and its content type."""
    if path is None:
        return json.dumps({"dataframe_records": [_row(text) for text in rows]}).encode(), "application/json"
    if str(path) == "-":
        return sys.stdin.buffer.read(), "text/csv"
    content_type = CONTENT_TYPES.get(path.suffix.lower())
    if content_type is None:
        raise InputError(f"{path}: cannot tell the format from {path.suffix!r}; use {', '.join(CONTENT_TYPES)}.")
    try:
        return path.read_bytes(), content_type
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from error


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--row is not JSON at character {error.pos + 1}: {error.msg}. Got: {text}") from error
    if not isinstance(row, dict):
        raise InputError(f"--row must be a JSON object of column: value, not {type(row).__name__}: {text}")
    return row


def show_predictions(session: Session, answer: dict[str, Any], *, extra: list[dict[str, Any]] | None = None) -> None:
    """Print predictions as a table; `extra` gives columns to show before each row's prediction."""
    from rich.table import Table

    extra = extra or [{} for _ in answer["predictions"]]
    probabilities = answer.get("probabilities") or []
    classes = [str(name) for name in answer.get("classes", ())]
    table = Table(*(extra[0].keys() if extra else ()), "Prediction", *(f"P({name})" for name in classes), box=None)
    for index, prediction in enumerate(answer["predictions"]):
        shares = [f"{share:.3f}" for share in probabilities[index]] if probabilities else []
        shown = f"{prediction:.4f}" if isinstance(prediction, float) else str(prediction)
        table.add_row(*(str(value) for value in extra[index].values()), shown, *shares)
    session.console.print(table)
    model = answer.get("model", {})
    session.console.print(f"[dim]Model of run {model.get('run_id')}[/]")
