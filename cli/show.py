"""How a run looks on the console."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.narrate import stage_seconds
from passerelle.contracts.container import Problem
from passerelle.contracts.promotions import Promotion
from passerelle.contracts.runs import RunRecord

STATUS_COLORS = {
    "succeeded": "green",
    "refused": "yellow",
    "rejected": "red",
    "duplicate": "cyan",
    "kept": "cyan",
    "failed": "red",
    "running": "blue",
    "collecting": "blue",
}
EXPLANATIONS = {
    "succeeded": "a model was registered and is served",
    "refused": "the gate or the shadow refused the model; what was served before goes on",
    "rejected": "the data broke its contract; nothing was trained, the raw files are untouched",
    "duplicate": "these bytes were processed before; nothing was trained",
    "kept": "the data was accepted and waits for the next training: `passerelle retrain`, or the project's rule",
    "failed": "something broke",
}


def status_text(record: RunRecord) -> str:
    """Return the status in its colour."""
    return f"[{STATUS_COLORS[record.status]}]{record.status}[/]"


def _explained(record: RunRecord) -> str | None:
    """Return what a status means. A person may have had a refused model served since."""
    if record.status == "refused" and record.endpoint_name is not None:
        return "the shadow refused the model when the run ended; it was served later, by hand"
    return EXPLANATIONS.get(record.status)


def show_run(console: Console, record: RunRecord) -> None:
    """Print everything a person wants to know about a run."""
    console.print(
        f"\n[bold]Run {record.run_id}[/] of {escape(record.project)}, attempt {record.attempt}: {status_text(record)}"
        + (f" [dim]({explained})[/]" if (explained := _explained(record)) else "")
    )
    if record.duplicate_of:
        console.print(f"Already processed by run {record.duplicate_of}.")
    if record.error:
        console.print(f"[red]{escape(record.error.message)}[/]\nStage: {record.error.stage}. {record.error.remedy}")
        if record.error.log_group:
            console.print(f"[dim]Log: {record.error.log_group} {record.error.log_stream or ''}[/]")
        if record.error.log_url:
            console.print(f"[dim]{escape(record.error.log_url)}[/]")
    _show_files(console, record)
    _show_problems(console, record.problems, record.quarantine_uri)
    _show_candidates(console, record)
    _show_gate(console, record)
    _show_shadow(console, record)
    _show_stages(console, record)
    _show_cost(console, record)
    for label, value in (
        ("Begun", record.why_begun),
        ("Carried from", record.origin and f"{record.origin.environment} (account {record.origin.account})"),
        ("Compared", record.gate.get("here")),
        ("Image", record.origin and record.image_uri),
        ("Dataset", record.dataset_id),
        ("Prepared by", _prepared_by(record)),
        ("MLflow", record.mlflow_url),
        ("Model version", record.model_version),
        ("Endpoint", record.endpoint_name),
    ):
        if value:
            console.print(f"{label:14}{escape(str(value))}")


def _prepared_by(record: RunRecord) -> str:
    """Return the engine that prepared the data and why it did, "" while nobody knows."""
    found = next((stage.summary for stage in record.stages if stage.stage == "prepare"), {})
    return f"{found['engine']}: {found['engine_reason']}" if found.get("engine") else ""


def _show_files(console: Console, record: RunRecord) -> None:
    if not record.files:
        return
    table = Table("File", "Outcome", title="Files", title_justify="left", box=None, padding=(0, 2))
    for heading in ("Rows accepted", "Rows rejected", "Bytes"):
        table.add_column(heading, justify="right")
    for file in record.files:
        outcome = f"{file.outcome} of run {file.duplicate_of}" if file.duplicate_of else file.outcome
        table.add_row(escape(file.key), outcome, f"{file.rows_accepted:,}", f"{file.rows_rejected:,}", f"{file.size:,}")
    console.print(table)


def _show_problems(console: Console, problems: Iterable[Problem], quarantine_uri: str | None) -> None:
    problems = list(problems)
    if not problems:
        return
    table = Table("", "Where", "What", "Remedy", title="Problems", title_justify="left", box=None, padding=(0, 2))
    marks = {"error": "[red]✗[/]", "warning": "[yellow]![/]", "note": "[dim]i[/]"}
    for problem in problems[:30]:
        where = [escape(problem.file)] if problem.file else []
        where += [f"row {problem.row}"] if problem.row is not None else []
        where += [f"column {escape(problem.column)}"] if problem.column else []
        times = f" ({problem.count:,}×)" if problem.count > 1 else ""
        what = f"{escape(problem.message)}{times} [dim]\\[{escape(problem.rule)}][/]"
        table.add_row(marks[problem.severity], "\n".join(where), what, escape(problem.remedy))
    console.print(table)
    if len(problems) > 30:
        console.print(f"… and {len(problems) - 30} more; --json shows all.")
    if quarantine_uri:
        console.print(f"Quarantined rows with their reasons: {escape(quarantine_uri)}")


def _show_candidates(console: Console, record: RunRecord) -> None:
    if not record.candidates:
        return
    table = Table("Candidate", title="Candidates", title_justify="left", box=None, padding=(0, 2))
    for heading in ("Score", "± s.e.", "Seconds"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for candidate in record.candidates:
        score, error = candidate.get("score"), candidate.get("standard_error")
        table.add_row(
            escape(str(candidate.get("name"))),
            "" if score is None else f"{score:.4f}",
            "" if error is None else f"{error:.4f}",
            f"{candidate.get('seconds', 0.0):.1f}",
            "[green]chosen[/]" if candidate.get("name") == record.chosen else escape(candidate.get("error") or ""),
        )
    console.print(table)
    if record.why:
        console.print(escape(record.why))


def _show_gate(console: Console, record: RunRecord) -> None:
    for check in record.gate.get("checks", ()):
        failed = "[yellow]![/]" if check.get("severity") == "advisory" else "[red]✗[/]"
        console.print(f"{'[green]✓[/]' if check.get('passed') else failed} {escape(str(check.get('message')))}")
    if record.gate.get("verdict"):
        console.print(f"[bold]Gate:[/] {escape(str(record.gate['verdict']))}")


def _show_shadow(console: Console, record: RunRecord) -> None:
    if not record.shadow:
        return
    console.print(f"[bold]Shadow[/]: {record.shadow['verdict']} [dim]({escape(record.shadow['evidence'])})[/]")
    for reason in record.shadow["reasons"]:
        console.print(f"  {escape(reason)}")
    if record.shadow["verdict"] == "keep" and record.model_version:
        again = f"passerelle promote {record.project} --version {record.model_version}"
        console.print(f"  [dim]What is open, more requests may show: `{escape(again)}` has it tried again.[/]")


def _show_stages(console: Console, record: RunRecord) -> None:
    if not record.stages:
        return
    table = Table("Stage", "Job", "Instance", title="Stages", title_justify="left", box=None, padding=(0, 2))
    for heading in ("Seconds", "Billable s", "On AWS, USD"):
        table.add_column(heading, justify="right")
    known = [stage.cost_usd for stage in record.stages if stage.cost_usd is not None]
    for stage in record.stages:
        seconds = stage_seconds(stage)
        priced = stage.instance_type is not None
        table.add_row(
            f"{stage.stage}" if stage.status == "done" else f"{stage.stage} ({stage.status})",
            escape(stage.job_name or ""),
            stage.instance_type or "",
            "" if seconds is None else f"{seconds:.1f}",
            "" if stage.billable_seconds is None else f"{stage.billable_seconds:.0f}",
            f"{stage.cost_usd:.6f}" if stage.cost_usd is not None else ("unknown" if priced else ""),
        )
    partial = any(stage.instance_type and stage.cost_usd is None for stage in record.stages)
    table.add_section()
    jobs = (f"{sum(known):.6f}" if known else "unknown") if known or partial else ""
    table.add_row("jobs", "", "", "", "", f"{jobs}{' (partial)' if known and partial else ''}")
    console.print(table)


def show_promotions(console: Console, record: RunRecord, promotions: Iterable[Promotion]) -> None:
    """Say when a run's model became champion and when it gave way, who asked for it and why."""
    for item in promotions:
        if item.version != record.model_version:
            what = f"gave way to version {item.version}"
        elif item.before == item.version:
            what = "was served anew"
        else:
            what = "became champion" + (f" after version {item.before}" if item.before else "")
        by, why = f" by {item.asked.by}" if item.asked.by else "", f": {item.asked.reason}" if item.asked.reason else ""
        told = escape(f"{item.asked.how}{by}{why}")
        console.print(f"{item.at[:19]} Version {record.model_version} {what} ({told})", soft_wrap=True)


def _show_cost(console: Console, record: RunRecord) -> None:
    """Say what the cost is made of and what it leaves out; an unknown part is said to be unknown."""
    if record.cost is None:
        return
    parts = [f"{part.name} {_usd(part.usd)} ({part.basis})" for part in record.cost.parts]
    at_least = "" if record.cost.complete or record.cost.known_usd is None else "at least "
    console.print(f"On AWS, USD: {at_least}{_usd(record.cost.known_usd)} = {escape('; '.join(parts))}.")
    console.print(f"[dim]Not counted: {escape(record.cost.excluded)}.[/]")


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:.6f}"
