"""What promote, rollback and redeploy share: the deployment that a person asks for, and the list of versions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.failures import RunNotServedError
from cli.session import Session
from passerelle.contracts.promotions import Asked, How, Promotion
from passerelle.contracts.runs import RunRecord
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import JobFailedError

if TYPE_CHECKING:
    from passerelle.steps.change_champion import History


def read(session: Session, project: str) -> History:
    """Return what was served of a project.

    Raises NotFoundError when it is not deployed, InputError for what AWS refuses the caller.
    """
    from passerelle.aws.deployed import refusals_translated
    from passerelle.steps.change_champion import read_history

    session.platform.need_project(project)
    with refusals_translated(session.environment):
        return read_history(session.platform.runs_table, project)


def promotions_of(session: Session, record: RunRecord) -> list[Promotion]:
    """Return the changes that made a run's model champion, and those that took it back."""
    from passerelle.aws.deployed import refusals_translated
    from passerelle.steps.change_champion import read_promotions

    if record.model_version is None:
        return []
    with refusals_translated(session.environment):
        promotions = read_promotions(session.platform.runs_table, record.project)
    return [item for item in promotions if record.model_version in (item.version, item.before)]


def asked_by(session: Session, how: How, reason: str = "") -> Asked:
    """Return what is written down of a request: who, how, why."""
    return Asked(how=how, by=session.platform.caller(), reason=reason)


def change(session: Session, history: History, request: dict[str, Any], *, wait: bool, dry_run: bool) -> None:
    """Have another version served than the champion, and say so."""
    for run in history.at_work:
        session.console.print(
            f"[yellow]![/] Run {run} is at work: its model is deployed, too, if the gate passes it. "
            "Where it must not be, stop its execution."
        )
    result = deploy(session, request, wait=wait, dry_run=dry_run)
    if session.as_json:
        session.print_json({**result, "before": history.champion})


def deploy(session: Session, request: dict[str, Any], *, wait: bool, dry_run: bool = False) -> dict[str, Any]:
    """Have a version served, and say so; returns the deployment's input, its execution and how long it took.

    Raises TransientError while another deployment of the project is at work, NotFoundError when the bundle is gone,
    RunNotServedError when the version is not served in the end: what was served goes on.
    """
    from passerelle.aws.deployments import await_deployment, need_bundle, need_no_deployment, start_deployment

    platform, began = session.platform, time.monotonic()
    machine, states = platform.resource("deploy-model"), platform.client("stepfunctions")
    need_no_deployment(states, machine, request["project"])
    key = split_s3_uri(request["model_data_url"])[1]
    need_bundle(platform.client("s3"), platform.resource("models-bucket"), key)
    named = f"{request['project']} version {request['model_version']} (run {request['run_id']})"
    done = f"In A/B test {request['experiment']['name']}" if "experiment" in request else "Served"
    if dry_run:
        session.console.print(f"Nothing stands against serving {named}. Nothing was changed.", soft_wrap=True)
        return {**request, "execution_arn": None, "served": False}
    started = start_deployment(states, machine, request)
    if not wait:
        session.console.print(f"Deployment of {named} started: {started.execution_arn}", soft_wrap=True)
        return {**request, "execution_arn": started.execution_arn, "served": False}
    try:
        with session.console.status(f"Deploying {named}") as shown:
            await_deployment(states, started, lambda state: shown.update(f"Deploying {named}: {state}"))
    except JobFailedError as error:
        raise RunNotServedError(str(error)) from error
    seconds = round(time.monotonic() - began, 1)
    session.console.print(f"[green]✓[/] {done}: {named}, after {seconds} s")
    return {**request, "execution_arn": started.execution_arn, "served": True, "seconds": seconds}


def versions(history: History) -> list[dict[str, Any]]:
    """Return the registered versions, newest first, as `--list` prints them.

    `back` tells which the next rollback comes to, `served` whether one may be gone back to at all.
    """
    line = history.line
    rows = []
    for record in reversed(history.records):
        if record.model_version is None:
            continue
        version, last = record.model_version, history.last_promotion(record.model_version)
        rows.append(
            {
                "version": version,
                "run_id": record.run_id,
                "gate": record.gate.get("status"),
                "champion": version == history.champion,
                "served": version in history.served,
                "back": len(line) > 1 and version == line[-2],
                "promoted_at": last.at if last else None,
                **(last.asked.model_dump() if last else {"how": None, "by": None, "reason": None}),
            }
        )
    return rows


def show_versions(session: Session, history: History) -> None:
    """Print the list of versions."""
    from rich.markup import escape
    from rich.table import Table

    rows = versions(history)
    table = Table("Version", "Run", "Gate", "Is", "Champion since", "How", "By", "Why", box=None, padding=(0, 2))
    for row in rows:
        state = "champion" if row["champion"] else "back" if row["back"] else "served" if row["served"] else ""
        told = (row["promoted_at"][:19] if row["promoted_at"] else "", row["how"], row["by"], row["reason"])
        table.add_row(row["version"], row["run_id"], row["gate"], state, *(escape(str(cell or "")) for cell in told))
    session.console.print(table if rows else f"Project {history.project} has no registered model yet.")
