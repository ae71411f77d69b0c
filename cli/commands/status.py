"""`passerelle status`: what runs, what is served, what is only recorded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from cli.session import Session
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord
from passerelle.errors import PasserelleError


@click.command()
@click.pass_obj
def status(session: Session) -> None:
    """Tell what runs, what each project serves, which runs are at work, and what the laptop only records.

    Exit code 5 when the platform does not answer.
    """
    processes = _processes(session)
    projects, active, problem = _deployed(session)
    if session.as_json:
        session.print_json(
            {
                "environment": session.environment,
                "platform": processes,
                "projects": projects,
                "active_runs": [run.model_dump(mode="json") for run in active],
                "problem": str(problem) if problem else None,
            }
        )
    else:
        _show(session, processes, projects, active)
    if problem:
        raise problem


def _processes(session: Session) -> dict[str, Any] | None:
    if not session.on_laptop:
        return None
    from laptop.platform import status as laptop_status

    return asdict(laptop_status(session.laptop_settings))


def _deployed(session: Session) -> tuple[list[dict[str, Any]], list[RunRecord], PasserelleError | None]:
    try:
        projects = [_project(session, name) for name in session.platform.projects()]
        active = [run for run in session.platform.runs(limit=50) if run.status not in FINAL_STATUSES]
    except PasserelleError as error:
        return [], [], error
    return projects, active, None


def _project(session: Session, name: str) -> dict[str, Any]:
    from passerelle.aws.deployed import refusals_translated
    from passerelle.steps.ab_tests import ab_test_at_work

    endpoint = session.platform.endpoint_status(name)
    last = session.platform.runs(name, limit=1)
    with refusals_translated(session.environment):
        tried = ab_test_at_work(session.platform.runs_table, name)
    return {
        "project": name,
        "endpoint": endpoint["EndpointName"] if endpoint else None,
        "endpoint_status": endpoint["EndpointStatus"] if endpoint else "not deployed",
        "last_run": last[0].run_id if last else None,
        "last_run_status": last[0].status if last else None,
        "ab_test": f"{tried.name}: version {tried.version} beside {tried.champion}" if tried else None,
    }


def _show(
    session: Session, processes: dict[str, Any] | None, projects: list[dict[str, Any]], active: list[RunRecord]
) -> None:
    from rich.table import Table

    console = session.console
    if processes is not None:
        _show_processes(session, processes)
    table = Table("Project", "Endpoint", "Status", "Last run", "Ended", "A/B test", box=None, padding=(0, 2))
    for row in projects:
        table.add_row(*(str(value or "") for value in row.values()))
    console.print(table if projects else "No project is deployed.")
    if projects and session.on_laptop:
        from laptop.dashboards import dashboard_url

        console.print(f"What is wrong, what moved: {dashboard_url(session.laptop_settings)}", soft_wrap=True)
    for run in active:
        stage = run.stages[-1].stage if run.stages else "collect"
        console.print(f"At work: run {run.run_id} of {run.project}, stage {stage}")


def _show_processes(session: Session, processes: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("Process", "State", "Pid", "Address", box=None, padding=(0, 2))
    for process in processes.get("processes", ()):
        state = "[green]running[/]" if process.get("running") else "[red]stopped[/]"
        table.add_row(str(process.get("name")), state, str(process.get("pid") or ""), str(process.get("address") or ""))
    session.console.print(table)
    recorded = processes.get("recorded_only") or []
    if recorded:
        session.console.print(f"[yellow]{len(recorded)} resources are recorded only (no effect on the laptop):[/]")
        for resource in recorded:
            session.console.print(f"  {resource}")
