"""Entry `backtest`: the champion's candidate, trained at moments of the past, scored on the periods that followed."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from passerelle.contracts.archive import unpack
from passerelle.contracts.backtest import BacktestQuestion
from passerelle.contracts.bundle import METADATA_FILE, BundleMetadata
from passerelle.contracts.container import (
    BACKTEST_INPUTS,
    BACKTEST_OUTPUTS,
    QUESTION_FILE,
    RESULT_FILE,
    CandidateResult,
    TrainResult,
)
from passerelle.domain.machine import cores
from passerelle.domain.project import Project
from passerelle.errors import InputError
from training.backtest.ages import Asked, backtest
from training.backtest.periods import utc
from training.figures.staleness import draw_staleness
from training.paths import base_dir, processing
from training.progress import tell
from training.project_archive import read_code, read_project
from training.train.context import Context
from training.train.data import inputs_of, make_signature, read_columns, read_rows
from training.train.machine import device
from training.train.reduce import with_features


def main() -> int:
    """Run the entry in SageMaker's layout."""
    started = time.monotonic()
    output = processing(BACKTEST_OUTPUTS["result"])
    output.mkdir(parents=True, exist_ok=True)
    asked = read_asked()
    result = backtest(asked, started)
    if result.staleness.curve:
        figure = draw_staleness(output, result.staleness, result.metric, result.period)
        result = result.model_copy(update={"figures": (figure,)})
    result = result.model_copy(update={"seconds": time.monotonic() - started})
    (output / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    tell("staleness_judged", verdict=result.staleness.verdict, words=result.staleness.words)
    return 0


def read_asked() -> Asked:
    """Read everything that came from S3."""
    folder = processing(BACKTEST_INPUTS["project"])
    project = read_project(folder)
    text = (processing(BACKTEST_INPUTS["question"]) / QUESTION_FILE).read_text(encoding="utf-8")
    question = BacktestQuestion.model_validate_json(text)
    with tempfile.TemporaryDirectory(dir=base_dir()) as work:
        training, model = (_unpacked(name, Path(work) / name) for name in ("training", "model"))
        trained = TrainResult.model_validate_json((training / RESULT_FILE).read_text(encoding="utf-8"))
        metadata = BundleMetadata.from_json((model / METADATA_FILE).read_bytes())
    candidate = next(item for item in trained.candidates if item.name == trained.chosen)
    context = make_context(project, folder, metadata, candidate)
    return Asked(
        question=question,
        candidate=candidate,
        threshold=metadata.threshold,
        context=context,
        rows=context.train,
    )


def _unpacked(name: str, target: Path) -> Path:
    (archive,) = processing(BACKTEST_INPUTS[name]).rglob("*.tar.gz")
    return unpack(archive, target)


def make_context(project: Project, folder: Path, metadata: BundleMetadata, candidate: CandidateResult) -> Context:
    """Return the context of the candidate's fits, with all rows of the dataset as its train rows, oldest first.

    Raises InputError where the dataset lacks what the candidate sees.
    """
    dataset = processing(BACKTEST_INPUTS["dataset"])
    inputs = inputs_of(project, read_columns(dataset))
    missing = sorted(set(candidate.features) - {column.name for column in inputs})
    if missing:
        raise InputError(
            f"The dataset has no column {', '.join(missing)}, which {candidate.name} sees: it was prepared from other "
            "data than the champion's. Train a new champion first, then ask again."
        )
    rows = read_rows(dataset, inputs, project.task.type)
    rows = rows.take(np.argsort(utc(rows.times), kind="stable"))
    fitted_on, warnings = device()
    context = Context(
        project=project,
        # What features.py derived is in the dataset, and nothing here is asked for by a caller.
        signature=make_signature(project, inputs, rows.labels),
        train=rows,
        validation=rows,
        run_id=metadata.run_id,
        dataset_id=metadata.dataset_id,
        contract_hash=metadata.contract_hash,
        git_sha=metadata.git_sha,
        lock_hash=metadata.lock_hash,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=metadata.seed,
        threads=cores(),
        device=fitted_on,
        warnings=warnings,
        own=read_code(folder, project.training.model) if project.training.model else None,
    )
    return with_features(context, candidate.features) if candidate.features else context
