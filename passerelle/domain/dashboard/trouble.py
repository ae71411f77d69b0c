"""What is wrong now, the gravest first: what, since when, how bad, the likely cause, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from passerelle.domain.dashboard.board import Board
from passerelle.domain.dashboard.words import moment_of
from passerelle.domain.monitoring.incidents import Cause
from passerelle.domain.monitoring.told import LIKELY, TO_DO

Gravity = Literal["major", "moderate", "minor"]
#: What a project's alarms that tell nobody watch (infra/constructs/project_monitors.py), by causes of incidents.
_CAUSES: Final[dict[str, set[Cause]]] = {
    "Arrivals": {"arrivals"},
    "Quality": {"absent", "broken"},
    "Drift": {"drift"},
    "Answers": {"answers"},
    "Worth": {"estimated", "realised"},
}
_ORDER: Final[tuple[Gravity, ...]] = ("major", "moderate", "minor")
#: Statuses of an endpoint that answers.
_SERVING: Final = ("InService", "Updating", "SystemUpdating", "RollingBack")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that is wrong; `since` is None where nobody knows."""

    gravity: Gravity
    what: str
    since: datetime | None = None
    likely: str = ""
    to_do: str = ""


def troubles(board: Board) -> list[Trouble]:
    """Return what is wrong now, the gravest and oldest first."""
    found = [*_endpoint(board), *_incidents(board), *_alarms(board), *_runs(board), *_windows(board)]
    return sorted(found, key=lambda one: (_ORDER.index(one.gravity), one.since or board.now))


def _endpoint(board: Board) -> Iterator[Trouble]:
    if board.endpoint is not None and board.endpoint not in _SERVING:
        yield Trouble(
            gravity="major",
            what=f"The endpoint is {board.endpoint}: nobody can ask the model.",
            to_do=f"`passerelle runs --project {board.project}`; then `passerelle redeploy {board.project}`.",
        )


def _incidents(board: Board) -> Iterator[Trouble]:
    for incident in board.incidents:
        gravity: Gravity = next((name for name in _ORDER if name == incident.severity), "minor")
        also = f" It shows in {', '.join(incident.also)}, too." if incident.also else ""
        more = f" Among {', '.join(incident.segments[:3])}." if incident.segments else ""
        yield Trouble(
            gravity=gravity,
            what=f"{_sentence(incident.words)}{more}{also}",
            since=moment_of(incident.since),
            likely=LIKELY[incident.cause],
            to_do=TO_DO[incident.cause],
        )


def _alarms(board: Board) -> Iterator[Trouble]:
    """An alarm that tells nobody may repeat what an incident says. Descriptions say what it means, then what to do."""
    told = {cause for incident in board.incidents for cause in (incident.cause, *incident.also)}
    for alarm in board.alarms:
        if alarm.state != "ALARM" or (alarm.told == "nobody" and told & _CAUSES.get(alarm.short, set())):
            continue
        means, _, to_do = alarm.description.removeprefix(f"{board.project}: ").partition(". ")
        yield Trouble(
            gravity="major" if alarm.told == "page" else "moderate",
            what=f"Alarm {alarm.short}: {_sentence(means)}",
            since=alarm.since,
            to_do=to_do,
        )


def _runs(board: Board) -> Iterator[Trouble]:
    last = next((run for run in board.runs if run.status not in ("collecting", "running", "duplicate", "kept")), None)
    if last is not None and last.status in ("failed", "rejected"):
        why = last.error.message if last.error else last.why or "nothing was trained"
        yield Trouble(
            gravity="moderate",
            what=f"The last run {last.status}: {_sentence(why)}",
            since=moment_of(last.updated_at),
            to_do=(
                last.error.remedy if last.error else f"`passerelle runs show {last.run_id}` says which rows, and why."
            ),
        )


def _windows(board: Board) -> Iterator[Trouble]:
    last = board.windows[0] if board.windows else None
    if last is not None and last.status == "unjudged":
        what = f"The last window could not be judged: {_sentence(last.line)}"
        yield Trouble(gravity="moderate", what=what, since=moment_of(last.start))


def _sentence(words: str) -> str:
    text = words.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
