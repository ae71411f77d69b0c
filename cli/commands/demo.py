"""`passerelle demo`: real flights become a served model, on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from cli.commands.drop import follow_drop, require_served, upload
from cli.commands.predict import show_predictions
from cli.commands.up import start_platform
from cli.failures import interruption_noted
from cli.session import Session
from passerelle.contracts.runs import FINAL_STATUSES, RunRecord

PROJECT = "flights"
FIRST_MONTHS = range(1, 7)
LAST_MONTH = 12


@click.command()
@click.pass_obj
def demo(session: Session) -> None:
    """Start the platform, deploy the stacks, drop months of real flights, and ask the served model.

    The first time it drops January to June 2013; each further time the next month, which trains a challenger.
    The platform stays up afterwards; after Ctrl-C it is as it was before.
    """
    from laptop.platform import down, status

    session.need_laptop("demo")
    was_up = status(session.laptop_settings).up
    try:
        run_demo(session)
    except KeyboardInterrupt:
        interruption_noted()
        if was_up:
            session.console.print("The platform was up before and stays up; `passerelle down` stops it.")
        else:
            session.console.print("Stopping the platform; its state is kept, and the next demo goes on from it.")
            down(session.laptop_settings)
        raise


def run_demo(session: Session) -> None:
    """Take the four steps."""
    from cli.deployment import deploy_environment

    session.console.rule("[bold]1. The embedded AWS")
    start_platform(session)
    session.console.rule("[bold]2. The stacks of environments/laptop.yaml")
    deploy_environment(session)
    session.console.rule("[bold]3. Flights into the raw zone")
    dropped_at: float | None = None
    records = finish_runs(session)
    if not records and (files := next_files(session)):
        dropped_at = time.monotonic()
        records = follow_drop(session, PROJECT, upload(session, PROJECT, tuple(files)))
    # A refused challenger leaves the champion to answer.
    require_served([record for record in records if record.status != "refused"])
    session.console.rule("[bold]4. Five flights of the following month")
    answer, rows = predict_flights(session)
    seconds = None if dropped_at is None else time.monotonic() - dropped_at
    summarise(session, records, seconds, answer, rows)


def finish_runs(session: Session) -> list[RunRecord]:
    """Follow what an interrupted demo has left at work, instead of a new drop; returns the ended records."""
    from cli.narrate import narrate_run
    from cli.show import show_run

    finished = []
    for record in reversed(session.platform.runs(PROJECT, limit=50)):
        if record.status not in FINAL_STATUSES:
            session.console.print(f"Run {record.run_id} is at work since {record.created_at[:19]} UTC; it goes on.")
            finished.append(narrate_run(session, PROJECT, record.run_id))
            if not session.as_json:
                show_run(session.console, finished[-1])
    return finished


def next_files(session: Session) -> list[Path]:
    """Return the files to drop: the first six months, or the month after those that were accepted before."""
    from cli.flights import MONTHS, write_months

    months = accepted_months(session)
    wanted = FIRST_MONTHS if not months else range(max(months) + 1, max(months) + 2)
    if wanted.start > LAST_MONTH:
        session.console.print("All twelve months were dropped before. `passerelle down --delete-state` starts afresh.")
        return []
    assert set(wanted) <= set(MONTHS)
    return write_months(session.laptop_settings.home / "demo", wanted)


def accepted_months(session: Session) -> set[int]:
    """Return the months of 2013 that an earlier run has accepted."""
    from cli.flights import MONTHS, file_name

    names = {file_name(month): month for month in MONTHS}
    return {
        names[file.key.rsplit("/", 1)[-1]]
        for record in session.platform.runs(PROJECT, limit=200)
        if record.status in ("succeeded", "refused")
        for file in record.files
        if file.key.rsplit("/", 1)[-1] in names and file.outcome != "rejected"
    }


def predict_flights(session: Session) -> tuple[dict[str, object], list[dict[str, str]]]:
    """Ask the endpoint about five flights that no model has seen."""
    from cli.flights import sample_rows

    months = accepted_months(session)
    rows = sample_rows(min(max(months, default=6) + 1, LAST_MONTH), 5)
    columns = list(rows[0])
    lines = [",".join(columns), *(",".join(row[column] for column in columns) for row in rows)]
    answer = json.loads(session.platform.predict(PROJECT, "\n".join(lines).encode(), content_type="text/csv"))
    return answer, rows


def summarise(
    session: Session,
    records: list[RunRecord],
    seconds: float | None,
    answer: dict[str, object],
    rows: list[dict[str, str]],
) -> None:
    """Print the predictions beside what happened, and where to look next; `seconds` where this demo dropped files."""
    shown = ("carrier", "flight", "origin", "dest", "time_hour", "arr_delay")
    extra = [{name: row[name] or "cancelled" for name in shown} for row in rows]
    if session.as_json:
        session.print_json(
            {
                "runs": [record.model_dump(mode="json") for record in records],
                "seconds_from_drop_to_prediction": seconds,
                "predictions": answer,
                "flights": extra,
            }
        )
        return
    show_predictions(session, answer, extra=extra)
    console, settings = session.console, session.laptop_settings
    if seconds is not None:
        console.print(f"\n[bold green]From dropped file to served prediction: {seconds:.1f} s[/]")
    console.print(f"MLflow    {records[-1].mlflow_url if records else settings.mlflow_url}")
    console.print(f"AWS       {settings.endpoint_url}  [dim](AWS_ENDPOINT_URL for boto3 and the aws command)[/]")
    console.print("Next      passerelle status | runs | logs run latest | predict flights --file … | down")
