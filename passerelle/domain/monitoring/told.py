"""What people are told of an incident: what, since when, how bad, the likely cause, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from passerelle.domain.monitoring.incidents import Cause, Event

#: Where the runbook says what to do, by cause.
RUNBOOK: Final = "docs/drift.md#incidents"
_SHOWN: Final = 5
#: SNS takes subjects of up to 99 characters (API reference, Publish).
_SUBJECT: Final = 99

LIKELY: Final[dict[Cause, str]] = {
    "arrivals": "callers stopped or doubled their requests, or what records predictions is behind",
    "absent": "a source or a join upstream no longer delivers these columns",
    "broken": "a source changed its form: a unit, an encoding, a default in place of values",
    "drift": "the world or the callers changed; where it came at once, look for a change upstream first",
    "answers": "inputs moved together in a way that no column shows alone, or another model serves",
    "estimated": "the model meets rows that it is known to be weak on",
    "realised": "what the model learnt no longer holds: the same inputs, other outcomes",
}
TO_DO: Final[dict[Cause, str]] = {
    "arrivals": "Ask whether callers changed; look at the queue of what records predictions.",
    "absent": "Ask who delivers the columns; predictions meanwhile are made without them.",
    "broken": "Compare a few requests of before and after; have the source mended. Do not retrain on it.",
    "drift": "Look at the page of the window. If the change is real and stays, let the project retrain.",
    "answers": "Look at the page of the window, then at which model answered.",
    "estimated": "Wait for labels if they come soon, else retrain.",
    "realised": "Retrain; if the gate refuses, roll back or ask the owner what changed.",
}


def subject(project: str, environment: str, event: Event) -> str:
    """Return one line, short enough for an e-mail's subject and a chat."""
    incident = event.incident
    change = {"opened": incident.severity, "worsened": f"now {incident.severity}", "closed": "over"}[event.change]
    line = f"{project} ({environment}): {incident.words}"
    end = f" [{change}]"
    return line[: _SUBJECT - len(end) - 1] + "…" + end if len(line) + len(end) > _SUBJECT else line + end


def message(project: str, environment: str, event: Event, page: str = "") -> str:
    """Return the whole of what is told.

    Parameters
    ----------
    page : where the window's page lies; "" for nowhere.
    """
    incident = event.incident
    if event.change == "closed":
        # Only another model ends it within a window that is not quiet.
        since = (
            f"{incident.quiet} quiet windows since"
            if incident.quiet
            else "another model serves since, with training data of its own"
        )
        return (
            f"It is over: {incident.words}\n\nProject {project}, environment {environment}, from {incident.since} to "
            f"{incident.last}; {since}.\n"
        )
    named = "".join(_named(what, some) for what, some in (("columns", incident.columns), ("among", incident.segments)))
    lines = [
        f"What: {incident.words}",
        f"Where: project {project}, environment {environment}{named}",
        f"Since: {incident.since}; last seen in the window of {incident.last}",
        f"How bad: {incident.severity}" + (f"; it shows in {', '.join(incident.also)}, too" if incident.also else ""),
        f"Likely: {LIKELY[incident.cause]}",
        f"Do: {TO_DO[incident.cause]} Runbook: {RUNBOOK}",
    ]
    return "\n".join([*lines, *([f"Page: {page}"] if page else [])]) + "\n"


def _named(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; {what} {', '.join(names[:_SHOWN])}{more}" if names else ""
