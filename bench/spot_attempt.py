"""One attempt of a fit that goes on from its checkpoint; SIGKILL falls at a given processor time of this process.

    python -m bench.spot_attempt FOLDER CANDIDATE ROUNDS INTERVAL KILL_AT WORK

Writes what happens when into WORK/events.jsonl, in processor seconds since this process began, and prints the hash of
the predictions. The interval goes by the same clock, so that what else the machine does moves neither.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

ROUNDS = {"hist_gradient_boosting": "max_iter"}


class Events:
    """A line per event; what a killed process has written is there."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def tell(self, event: str, **fields: Any) -> None:
        """Write when an event was."""
        line = json.dumps({"at": time.process_time(), "event": event, **fields})
        with self._lock:
            self._file.write(f"{line}\n")
            self._file.flush()

    def kill_at(self, moment: float) -> None:
        """Let SIGKILL fall, whatever this process is at."""

        def watch() -> None:
            while time.process_time() < moment:
                time.sleep(0.002)
            self.tell("killed")
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, daemon=True).start()


def main(folder: str, candidate: str, rounds: str, interval: str, kill_at: str, work: str) -> None:
    """Fit, or be killed."""
    with (Path(work) / "events.jsonl").open("a", encoding="utf-8") as file:
        events = Events(file)
        events.tell("begun")
        events.kill_at(float(kill_at))
        shares = fit(events, Path(folder), candidate, int(rounds), float(interval), Path(work))
        print(hashlib.sha256(shares.tobytes()).hexdigest(), flush=True)
        events.tell("ended")
        os._exit(0)


def fit(events: Events, folder: Path, candidate: str, rounds: int, interval: float, work: Path) -> Any:
    """Fit as the training job does; return the predictions of the rows."""
    import skops.io  # noqa: F401  # the checkpoint's reader and writer
    import xgboost  # noqa: F401

    from bench.flights import INPUTS
    from passerelle.domain.candidates.pipelines import make_candidate
    from training.train import fit_checkpoint, main, pace  # noqa: F401  # what the job's entry imports
    from training.train.data import read_rows

    class Pace(pace.Pace):
        def stages(self) -> Iterator[int]:
            events.tell("fitting")
            yield from super().stages()

    vars(fit_checkpoint).update(tell=events.tell, Pace=Pace)
    for module in (fit_checkpoint, pace):
        vars(module)["time"] = SimpleNamespace(monotonic=time.process_time)
    events.tell("imported")
    rows = read_rows(folder, INPUTS, "binary")
    events.tell("read")
    pipeline = make_candidate(
        candidate,
        task="binary",
        inputs=INPUTS,
        time_parts=("weekday",),
        seed=2013,
        threads=1,
        params={ROUNDS.get(candidate, "n_estimators"): rounds},
    )
    checkpoint = fit_checkpoint.FitCheckpoint(work / "x.fit", candidate, "bench", interval)
    fit_checkpoint.fit_resumably(pipeline, rows.frame, rows.labels, checkpoint)
    events.tell("fitted")
    return pipeline.predict_proba(rows.frame.head(20_000))


if __name__ == "__main__":
    main(*sys.argv[1:])
