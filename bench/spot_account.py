"""Where the time of an interrupted fit went: starts, work that was lost, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """Processor seconds of one attempt.

    `importing`, `reading` and `encoding` (rows and XGBoost's matrix) is what every start costs. `repeated` is fitting
    that the next attempt has to do again, at most `bound`: the interval, or ten times what a checkpoint costs.
    """

    importing: float
    reading: float
    encoding: float
    fitting: float
    writing: float
    repeated: float
    bound: float
    killed: bool

    @property
    def start(self) -> float:
        """Seconds before the fit began, or until the kill where that was earlier."""
        return self.importing + self.reading + self.encoding


def attempts(events: Sequence[Event]) -> list[list[Event]]:
    """Return the events of each attempt."""
    begins = [place for place, event in enumerate(events) if event["event"] == "begun"]
    return [list(events[first:last]) for first, last in zip(begins, [*begins[1:], len(events)], strict=True)]


def account(events: Sequence[Event], interval: float) -> Attempt:
    """Return where the time of one attempt went, from its events."""
    end = next(event["at"] for event in events if event["event"] in ("killed", "fitted"))
    moments = {name: min(_moment(events, name, end), end) for name in ("imported", "read", "fitting")}
    killed = events[-1]["event"] == "killed"
    written = [event["at"] for event in events if event["event"] == "fit_checkpointed"]
    bounds = [float(event["interval"]) for event in events if event["event"] == "rounds_fitted"]
    return Attempt(
        importing=moments["imported"],
        reading=moments["read"] - moments["imported"],
        encoding=moments["fitting"] - moments["read"],
        fitting=end - moments["fitting"],
        writing=_writing(events),
        repeated=end - max([moments["fitting"], *written]) if killed else 0.0,
        bound=max([interval, *bounds]),
        killed=killed,
    )


def _moment(events: Sequence[Event], name: str, end: float) -> float:
    return float(next((event["at"] for event in events if event["event"] == name), end))


def _writing(events: Sequence[Event]) -> float:
    """A checkpoint is written right after its stage was told."""
    pairs = pairwise(events)
    return sum(float(after["at"] - before["at"]) for before, after in pairs if after["event"] == "fit_checkpointed")
