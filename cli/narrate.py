"""Say what happens in a run as it happens: one line per event, a spinner for what is under way."""

from __future__ import annotations

import time
from typing import Any

from rich.markup import escape
from rich.status import Status

from cli.follow import follow_run
from cli.session import Session
from passerelle.contracts.runs import RunRecord, StageRecord

STAGE_WORDS = {
    "collect": "Collecting the files that arrive together",
    "prepare": "Validating and preparing the data",
    "tune": "Searching better parameters with SageMaker tuning jobs",
    "train": "Training the candidates",
    "evaluate": "Evaluating the chosen model on the newest period",
    "carry": "Carrying the model from the environment that trained it",
    "register": "Logging to MLflow and registering the model",
    "deploy": "Deploying to the endpoint",
}


def narrate_run(session: Session, project: str, run_id: str) -> RunRecord:
    """Follow a run to its end on the console; returns the final record."""
    started = time.monotonic()
    told: dict[str, str] = {}
    record: RunRecord | None = None
    with session.console.status(f"Run {run_id}") as spinner:
        for update in follow_run(session.platform, project, run_id):
            for event in update.events:
                if sentence := describe_event(event):
                    session.console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]    {sentence}")
            if update.record:
                record = update.record
                _tell_stages(session, record, told, started, spinner)
    assert record is not None
    return record


def _tell_stages(session: Session, record: RunRecord, told: dict[str, str], started: float, spinner: Status) -> None:
    for stage in record.stages:
        if told.get(stage.stage) == stage.status:
            continue
        told[stage.stage] = stage.status
        elapsed = f"[dim]{time.monotonic() - started:6.1f} s[/]"
        words = STAGE_WORDS[stage.stage]
        if stage.status == "running":
            spinner.update(words)
            session.console.print(f"{elapsed}  [bold]{words}[/] {escape(stage.job_name or '')}")
        else:
            mark = "[green]✓[/]" if stage.status == "done" else "[red]✗[/]"
            session.console.print(f"{elapsed}  {mark} {words.lower()}: {stage.status}{_duration(stage)}")


def _duration(stage: StageRecord) -> str:
    seconds = stage_seconds(stage)
    return "" if seconds is None else f" in {seconds:.1f} s"


def stage_seconds(stage: StageRecord) -> float | None:
    """Return how long a stage took by the clock, None while it runs."""
    from datetime import datetime

    if stage.ended_at is None:
        return None
    return (datetime.fromisoformat(stage.ended_at) - datetime.fromisoformat(stage.started_at)).total_seconds()


def describe_event(event: dict[str, Any]) -> str | None:
    """Return one sentence for a progress event, None for events that need no words."""
    kind = event.get("event")
    if kind == "file_validated":
        rejected = event.get("rows_rejected", 0)
        color = "yellow" if rejected else "dim"
        return (
            f"{escape(str(event.get('key', event.get('file', 'file'))))}: {event.get('rows_accepted', 0):,} rows "
            f"accepted, [{color}]{rejected:,} rejected[/]"
        )
    if kind == "dataset_ready":
        return f"dataset {event.get('dataset_id')}: {event.get('rows', 0):,} rows"
    if kind == "candidate_started":
        return f"[dim]{escape(str(event['candidate']))} …[/]"
    if kind == "candidate_finished":
        return (
            f"{escape(str(event['candidate']))}: {event.get('metric', 'score')} {event.get('score', float('nan')):.4f} "
            f"[dim]({event.get('seconds', 0):.1f} s)[/]"
        )
    if kind in ("candidate_left_out", "candidate_note"):
        return f"[yellow]{escape(str(event['candidate']))}: {escape(str(event.get('why', event.get('note'))))}[/]"
    if kind == "suspected_leakage":
        column = escape(str(event["column"]))
        return f"[yellow]{column} alone tells the label ({event['measure']} {event['score']:.4f}): known before?[/]"
    if kind == "model_chosen":
        return f"[bold]chosen: {escape(str(event.get('candidate', event.get('chosen'))))}[/]"
    if kind == "gate_checked":
        return f"gate: {escape(str(event.get('status', event.get('message', ''))))}"
    return _describe_fit(event)


def _describe_fit(event: dict[str, Any]) -> str | None:
    kind = event.get("event")
    if kind == "features_tried":
        return f"[dim]{escape(str(event['candidate']))} with {event['features']} features: {event['score']:.4f}[/]"
    if kind == "fit_resumed":
        done = f"{event['rounds']} of {event['of']} rounds"
        return f"[dim]{escape(str(event['candidate']))} goes on from its checkpoint, with {done}[/]"
    if kind == "reduction_resumed":
        return f"[dim]{escape(str(event['candidate']))}: {event['sizes']} numbers of features were tried before[/]"
    if kind == "gpu_not_used":
        return f"[yellow]GPU not used: {escape(str(event['why']))}[/]"
    return None
