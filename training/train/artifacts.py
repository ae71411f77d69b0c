"""What MLflow is to show of a candidate: its model folder and figures, written while the next one is fitted."""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy.typing as npt
import pandas as pd

from passerelle.contracts.container import CandidateResult
from passerelle.domain.machine import cores
from passerelle.domain.project.metric_names import OWN
from training.bundle import Bundle, load_bundle
from training.bundle.own_code import own_file, own_types
from training.bundle.trusted import TRUSTED_TYPES
from training.train.candidate import EXAMPLE_ROWS
from training.train.context import Context
from training.train.predict import Predicted

#: With fewer rows of train the fits take less than what another process needs for its imports, some four seconds.
MANY_ROWS: Final = 20_000
#: A larger model is not held twice in memory.
LARGE_BYTES: Final = 200_000_000


@dataclass(frozen=True)
class Shown:
    """What is written of a candidate beside its bundle; `own` is the code that the bundle brings."""

    result: CandidateResult
    predicted: Predicted
    labels: npt.NDArray[Any]
    example: pd.DataFrame
    task: str
    own: bytes | None


class Artifacts:
    """Writes below a folder: in a process of its own where there are many rows and more than one core for them.

    Not in a thread: fits that often give Python's lock away and ask for it again wait for it most of the time. A `with`
    block ends when all is written, and what fails fails it; one that an exception ends begins nothing more.
    """

    def __init__(self, output: Path, *, beside: bool) -> None:
        self._output, self._unwritten = output, list[Future[None]]()
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _begin) if beside else None

    @classmethod
    def of(cls, output: Path, context: Context) -> Self:
        """Return those of a training job."""
        return cls(output, beside=len(context.train.labels) >= MANY_ROWS and cores() > 1)

    def write(
        self, bundle: Bundle, folder: Path, result: CandidateResult, predicted: Predicted, context: Context
    ) -> None:
        """Write a candidate, or have it written after those before it; `folder` is where its bundle stays."""
        shown = Shown(
            result=result,
            predicted=predicted,
            labels=context.validation.labels,
            example=context.validation.frame.head(EXAMPLE_ROWS),
            task=context.project.task.type,
            own=context.own if result.kind == OWN else None,
        )
        if self._process is None or sum(file.stat().st_size for file in folder.iterdir()) > LARGE_BYTES:
            write_artifacts(bundle, shown, self._output)
            return
        for future in self._unwritten:
            if future.done():
                future.result()
        self._unwritten.append(self._process.submit(_write_beside, folder, shown, self._output))

    def __enter__(self) -> Self:
        if self._process is not None:
            self._unwritten.append(self._process.submit(_import))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if kind is None:
                self._unwritten.append(self._process.submit(gc.freeze))  # it ends half a second sooner
            self._process.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for future in self._unwritten:
                future.result()


def _begin() -> None:
    """Let this process end with the one that has started it, also when that is killed."""
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()


def _import() -> None:
    """Import what writing needs, while nothing is to be written yet."""
    import skops.io  # noqa: F401

    import training.figures.draw  # noqa: F401
    from passerelle.aws.mlflow_models import import_mlflow

    import_mlflow()


def _write_beside(folder: Path, shown: Shown, output: Path) -> None:
    write_artifacts(load_bundle(folder, project_code=shown.own is not None), shown, output)


def write_artifacts(bundle: Bundle, shown: Shown, output: Path) -> None:
    """Write a candidate's model folder, figures of validation, parameters and metrics."""
    # A process that only fits does without MLflow and matplotlib.
    from passerelle.aws.mlflow_models import save_model
    from training.figures.draw import draw_all

    result, predicted = shown.result, shown.predicted
    folder = output / result.directory
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)
    with own_file(shown.own) as code:
        trusted = (*TRUSTED_TYPES, *(own_types(bundle.pipeline, shown.own) if shown.own else ()))
        save_model(folder / "model", bundle.pipeline, bundle.signature, shown.example, trusted=trusted, code=code)
    draw_all(
        folder / "plots",
        task=shown.task,
        labels=shown.labels,
        predictions=predicted.predictions,
        probabilities=predicted.probabilities,
        classes=predicted.classes,
        title=f"{result.name}, validation",
    )
    (folder / "params.json").write_text(json.dumps(result.params, indent=2, default=str), encoding="utf-8")
    metrics = {"train": result.train_metrics, "validation": result.validation_metrics}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
