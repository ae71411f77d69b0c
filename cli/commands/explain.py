"""`passerelle explain`: ask the project's endpoint why it answers as it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from cli.commands.predict import read_request
from cli.session import Session

BAR: Final = 20


@click.command()
@click.argument("project")
@click.option("--row", "rows", multiple=True, help='One row as JSON, as in \'{"carrier": "UA", …}\'; may be repeated.')
@click.option(
    "--file", "path", type=click.Path(path_type=Path), help="Rows as .csv, .json or .jsonl; - for CSV on stdin."
)
@click.option("--top", default=10, show_default=True, type=click.IntRange(1), help="So many columns are shown a row.")
@click.pass_obj
def explain(session: Session, project: str, rows: tuple[str, ...], path: Path | None, top: int) -> None:
    """Ask the endpoint of PROJECT what each column did to its answers (at most 50 rows)."""
    if bool(rows) == bool(path):
        raise click.UsageError("Give either --row (one or more) or --file.")
    body, content_type = read_request(rows, path)
    answer = json.loads(session.platform.predict(project, body, content_type=content_type, explain=True))
    if session.as_json:
        session.print_json(answer)
    else:
        show_explanations(session, answer, top)


def show_explanations(session: Session, answer: dict[str, Any], top: int) -> None:
    """Print a table a row: what each column added to the base, the greatest first."""
    from rich.markup import escape
    from rich.table import Table

    space = answer["explained_by"]["space"]
    for number, (prediction, row) in enumerate(zip(answer["predictions"], answer["explanations"], strict=True), 1):
        ranked = sorted(row["contributions"].items(), key=lambda item: -abs(item[1]))
        greatest = max((abs(value) for _, value in ranked), default=0.0)
        title = f"Row {number}: prediction {escape(str(prediction))}; {space} of {escape(row['output'])}"
        table = Table("Column", title=title, title_justify="left", box=None, padding=(0, 2))
        table.add_column(f"Added to {space}", justify="right")
        table.add_column("")
        table.add_row("[dim]on average[/]", f"{row['base']:+.4f}", "")
        for name, value in ranked[:top]:
            bar = "█" * round(BAR * abs(value) / greatest) if greatest else ""
            table.add_row(escape(name), f"{value:+.4f}", f"[{'red' if value > 0 else 'blue'}]{bar}[/]")
        if len(ranked) > top:
            rest = sum(value for _, value in ranked[top:])
            table.add_row(f"[dim]{len(ranked) - top} others[/]", f"{rest:+.4f}", "")
        table.add_section()
        table.add_row("this row", f"{row['total']:+.4f}", "")
        session.console.print(table)
    model = answer.get("model", {})
    session.console.print(
        f"[dim]Model of run {model.get('run_id')}, explained by {answer['explained_by']['method']}[/]"
    )
