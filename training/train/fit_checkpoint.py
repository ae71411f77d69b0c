"""A fit under way survives a spot interruption: what it has of its rounds, in one file, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from training.bundle.trusted import TRUSTED_TYPES
from training.progress import tell
from training.stopping import SIGTERM
from training.train.stages import LEG, fit_in_stages, rounds_of

#: Writing may take at most this share of the time: what takes long to write is written less often.
WRITING_SHARE: Final = 0.1
#: SIGTERM is heeded between stages, and SIGKILL follows after 120 s.
LONGEST_STAGE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Saved:
    """A pipeline with `rounds` of its rounds, and the seconds of fitting in it."""

    pipeline: Pipeline
    rounds: int
    seconds: float


@dataclass
class FitCheckpoint:
    """The file of one candidate's fit: a line of JSON, then the pipeline in skops' format.

    `key` says what it must have been made from to be of use: code, data, parameters.
    """

    path: Path
    label: str
    key: str
    every_seconds: float
    earlier_seconds: float = field(default=0.0, init=False)
    _writing_seconds: float = field(default=0.0, init=False)

    @property
    def interval(self) -> float:
        """Seconds of work that may be lost."""
        return max(self.every_seconds, self._writing_seconds / WRITING_SHARE)

    def save(self, saved: Saved) -> None:
        """Write in place of the last state, which a kill in between leaves; what cannot be kept is told."""
        started = time.monotonic()
        try:
            size = self._write(saved)
            tell("fit_checkpointed", candidate=self.label, rounds=saved.rounds, bytes=size)
        except Exception as error:  # a full disk, a model that skops does not know: no reason to end the fit
            tell("fit_not_checkpointed", candidate=self.label, error=f"{type(error).__name__}: {error}")
        self._writing_seconds = time.monotonic() - started

    def _write(self, saved: Saved) -> int:
        import skops.io

        body = skops.io.dumps(saved.pipeline)
        header = {
            "key": self.key,
            "rounds": saved.rounds,
            "seconds": saved.seconds,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        with partial.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path)
        return len(body)

    def load(self) -> Saved | None:
        """Return the last state, None when there is none of use: what is wrong with it is told."""
        import skops.io

        if not self.path.is_file():
            return None
        try:
            first, _, body = self.path.read_bytes().partition(b"\n")
            header = json.loads(first)
            if header["key"] != self.key:
                raise ValueError("it was made by other code, from other data, or with other parameters")
            if header["sha256"] != hashlib.sha256(body).hexdigest():
                raise ValueError("it is not as it was written")
            pipeline = skops.io.loads(body, trusted=list(TRUSTED_TYPES))
            return Saved(pipeline, int(header["rounds"]), float(header["seconds"]))
        except Exception as error:  # skops raises many kinds for a file that is not its own
            print(f"The unfinished fit of {self.label} is not used: {error}; it starts anew.", flush=True)
            return None


def fit_resumably(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    labels: npt.NDArray[Any],
    checkpoint: FitCheckpoint,
    *,
    weights: npt.NDArray[Any] | None = None,
) -> None:
    """Fit in place, from where an interrupted attempt stopped, to the model that an uninterrupted fit gives.

    At most `checkpoint.interval` seconds of work are lost; after SIGTERM, which waits for a stage to end, none.

    Raises StoppedError after SIGTERM.
    """
    total = rounds_of(pipeline)
    saved = checkpoint.load()
    if saved:
        _take_over(pipeline, saved.pipeline)
        checkpoint.earlier_seconds = saved.seconds
        tell("fit_resumed", candidate=checkpoint.label, rounds=saved.rounds, of=total)
        if saved.rounds == total:
            return
    pace = Pace(checkpoint, total, saved.rounds if saved else 0)
    with SIGTERM.held():
        stages = fit_in_stages(pipeline, frame, labels, stages=pace.stages(), weights=weights, done=pace.done)
        for done in stages:
            pace.reached(done)
            tell("rounds_fitted", candidate=checkpoint.label, rounds=done, of=total)
            if SIGTERM.asked or pace.due:
                checkpoint.save(Saved(pipeline, done, checkpoint.earlier_seconds + pace.seconds))
                pace.saved()
            if SIGTERM.asked:
                break


def _take_over(pipeline: Pipeline, saved: Pipeline) -> None:
    """Put the saved steps into the pipeline, with this instance's threads: the one before may have had others."""
    threads = {name: value for name, value in pipeline.get_params().items() if name.endswith("__n_jobs")}
    pipeline.steps[:] = saved.set_params(**threads).steps


class Pace:
    """How many rounds at a time: as many as fit into the interval, by how long those before have taken."""

    def __init__(self, checkpoint: FitCheckpoint, total: int, done: int) -> None:
        self._checkpoint, self._total, self.done = checkpoint, total, done
        self._first = done
        self._started = self._last_saved = time.monotonic()

    def stages(self) -> Iterator[int]:
        """Yield the rounds to have after each stage; how long the stages before took decides the next."""
        stage = self.done
        while stage < self._total:
            stage = min(self._total, self.done + self._step)
            yield stage

    def reached(self, done: int) -> None:
        """Take note that a stage has ended."""
        self.done = done

    @property
    def seconds(self) -> float:
        """How long this attempt has been at it."""
        return time.monotonic() - self._started

    @property
    def due(self) -> bool:
        """Whether the next stage would end after the interval."""
        ahead = min(self._step, self._total - self.done) * self._seconds_a_round
        return time.monotonic() - self._last_saved + ahead > self._checkpoint.interval

    def saved(self) -> None:
        """Take note that the state is kept."""
        self._last_saved = time.monotonic()

    @property
    def _step(self) -> int:
        if self.done == self._first:
            return LEG - self.done % LEG
        seconds = min(self._checkpoint.interval, LONGEST_STAGE_SECONDS)
        return max(LEG, int(seconds / self._seconds_a_round) // LEG * LEG)

    @property
    def _seconds_a_round(self) -> float:
        return self.seconds / max(self.done - self._first, 1)
