"""A fit under way survives a spot interruption: what it has of its rounds, in one file, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from training.bundle.trusted import TRUSTED_TYPES
from training.progress import tell
from training.stopping import SIGTERM
from training.train.pace import Pace
from training.train.stages import fit_in_stages, rounds_of, stage_costs


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

    def save(self, saved: Saved) -> float:
        """Write in place of the last state, which a kill in between leaves; returns the seconds that it took.

        What cannot be kept is told.
        """
        started = time.monotonic()
        try:
            size = self._write(saved)
            tell("fit_checkpointed", candidate=self.label, rounds=saved.rounds, bytes=size)
        except Exception as error:  # a full disk, a model that skops does not know: no reason to end the fit
            tell("fit_not_checkpointed", candidate=self.label, error=f"{type(error).__name__}: {error}")
        return time.monotonic() - started

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

    def remove(self) -> None:
        """Forget the state: something later holds what it held."""
        self.path.unlink(missing_ok=True)

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

    What is lost at most is said by `Pace`; after SIGTERM, which waits for a stage to end, nothing is.

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
    pace = Pace(checkpoint.every_seconds, total, saved.rounds if saved else 0, stage_costs(pipeline))
    with SIGTERM.held():
        stages = fit_in_stages(pipeline, frame, labels, stages=pace.stages(), weights=weights, done=pace.done)
        for done in stages:
            pace.reached(done)
            tell("rounds_fitted", candidate=checkpoint.label, rounds=done, of=total, interval=round(pace.interval, 3))
            if SIGTERM.asked or pace.due:
                pace.saved(checkpoint.save(Saved(pipeline, done, checkpoint.earlier_seconds + pace.seconds)))
            if SIGTERM.asked:
                break


def _take_over(pipeline: Pipeline, saved: Pipeline) -> None:
    """Put the saved steps into the pipeline, with this instance's threads: the one before may have had others."""
    threads = {name: value for name, value in pipeline.get_params().items() if name.endswith("__n_jobs")}
    pipeline.steps[:] = saved.set_params(**threads).steps
