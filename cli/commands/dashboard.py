"""`passerelle dashboard`: a project's page: what is wrong now, what moved, what the model is worth."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from cli.session import Session


@click.command()
@click.argument("project", required=False)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the page as one HTML file, to keep or to send.")  # fmt: skip
@click.option("--span", default="1d", show_default=True, help="What its graphs show: 3h, 1d, 1w or 4w.")
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option("--env", "environment", help="The same as before the command.")
@click.option("--json", "as_json", is_flag=True, help="The same as before the command.")
@click.pass_obj
def dashboard(
    session: Session,
    project: str | None,
    output: Path | None,
    span: str,
    show: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Say where the page of PROJECT is, or draw it: what is wrong and since when, what moved, worth, requests, costs.

    On the laptop the running platform serves it, and without PROJECT a list of all projects. With --env or --output it
    is drawn into a file that needs no network; its graphs are those of the project's CloudWatch dashboard.
    """
    session = session.told(environment, as_json)
    if session.on_laptop and output is None:
        from laptop.dashboards import dashboard_url

        if project:
            session.platform.need_project(project)
        address = dashboard_url(session.laptop_settings, project or "") + (f"?span={span}" if project else "")
    else:
        address = _drawn(session, project, output, span).resolve().as_uri()
    if session.as_json:
        session.print_json({"project": project, "url": address})
    else:
        session.console.print(f"[green]✓[/] {project or 'All projects'}: {address}", soft_wrap=True)
    if show:
        webbrowser.open(address)


def _drawn(session: Session, project: str | None, output: Path | None, span: str) -> Path:
    from passerelle.domain.dashboard.page import project_page
    from passerelle.steps.project_board import read_board

    if project is None:
        raise click.UsageError("Name a project: the list of all is a page of the laptop.")
    with session.console.status(f"Reading windows, metrics and alarms of {project}"):
        page = project_page(read_board(session.platform, project, span=span))
    path = output or Path(f"{project}-{session.environment}.html")
    path.write_text(page, encoding="utf-8")
    return path
