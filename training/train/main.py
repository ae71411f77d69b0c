"""Entry `train`: every candidate on the same split, the simplest good one chosen, its bundle as the model."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from passerelle.contracts.container import RESULT_FILE, CandidateResult, TrainResult
from passerelle.domain.project import Project
from passerelle.domain.project.metric_names import CANDIDATES
from passerelle.domain.selection import Scored, choose
from passerelle.errors import PasserelleError
from training.bundle import Bundle
from training.paths import base_dir, channel, hyperparameters
from training.progress import metric, tell
from training.project_archive import read_project
from training.train.candidate import Context, cores, train_candidate, write_artifacts
from training.train.checkpoint import Checkpoints, checkpoint_key
from training.train.data import inputs_of, make_signature, read_columns, read_rows


class NoCandidateError(PasserelleError):
    """Every candidate failed."""


def main() -> int:
    """Run the entry in SageMaker's layout."""
    started = time.monotonic()
    parameters, project = hyperparameters(), read_project(channel("project"))
    context = make_context(parameters, project)
    key = checkpoint_key(
        dataset=context.dataset_id,
        contract=context.contract_hash,
        seed=context.seed,
        git=context.git_sha,
        lock=context.lock_hash,
        project=project.model_dump(mode="json", exclude={"training": {"candidates"}}),
    )
    checkpoints = Checkpoints(base_dir() / "checkpoints", key)
    output = base_dir() / "output" / "data"
    output.mkdir(parents=True, exist_ok=True)
    results, resumed = _train_all(context, checkpoints, output)
    result = _choose(context, results, resumed, time.monotonic() - started)
    model = base_dir() / "model"
    shutil.copytree(checkpoints.bundle_folder(result.chosen), model, dirs_exist_ok=True)
    (output / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    tell("model_chosen", candidate=result.chosen, why=result.why)
    return 0


def make_context(parameters: dict[str, str], project: Project) -> Context:
    """Read the data once for all candidates."""
    task = project.task.type
    inputs = inputs_of(project, read_columns(channel("train")))
    train = read_rows(channel("train"), inputs, task)
    validation = read_rows(channel("validation"), inputs, task)
    return Context(
        project=project,
        signature=make_signature(project, inputs, train.labels),
        train=train,
        validation=validation,
        run_id=parameters["run_id"],
        dataset_id=parameters["dataset_id"],
        contract_hash=parameters["contract_hash"],
        git_sha=parameters.get("git_sha", "unknown"),
        lock_hash=parameters.get("lock_hash", "unknown"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=int(parameters.get("seed", project.training.seed)),
        threads=cores(),
        device=_device(),
    )


def _device() -> str:
    """Return "cuda" when the instance has an NVIDIA GPU."""
    return "cuda" if Path("/dev/nvidia0").exists() else "cpu"


def _train_all(context: Context, checkpoints: Checkpoints, output: Path) -> tuple[list[CandidateResult], list[str]]:
    results: list[CandidateResult] = []
    resumed: list[str] = []
    order = CANDIDATES[context.project.task.type]
    primary = context.project.task.metric
    for name in sorted(context.project.candidates, key=order.index):
        earlier = checkpoints.load(name)
        if earlier:
            resumed.append(name)
            print(f"{name}: finished before the interruption, taken from its checkpoint", flush=True)
        finished = earlier or _train_one(name, order.index(name), context, checkpoints)
        if isinstance(finished, CandidateResult):
            results.append(finished)
            continue
        bundle, result = finished
        write_artifacts(bundle, result, context, output)
        results.append(result)
        score = result.validation_metrics.get(primary)
        tell("candidate_finished", candidate=name, metric=primary, score=score, seconds=round(result.seconds, 2))
        if score is not None:
            metric(f"validation:{primary}", score)
    return results, resumed


def _train_one(
    name: str, complexity: int, context: Context, checkpoints: Checkpoints
) -> tuple[Bundle, CandidateResult] | CandidateResult:
    """Train and checkpoint one candidate; one that fails does not take the others with it."""
    tell("candidate_started", candidate=name)
    started = time.monotonic()
    work = base_dir() / "work" / name
    shutil.rmtree(work, ignore_errors=True)
    try:
        bundle, result = train_candidate(name, complexity, context, work)
    except Exception as error:  # whatever a library raises; being stopped is no Exception
        traceback.print_exc()
        tell("candidate_failed", candidate=name, error=str(error))
        seconds, words = time.monotonic() - started, f"{type(error).__name__}: {error}"
        return CandidateResult(name=name, status="failed", complexity=complexity, seconds=seconds, error=words)
    checkpoints.save(work, result)
    return bundle, result


def _choose(context: Context, results: list[CandidateResult], resumed: list[str], seconds: float) -> TrainResult:
    task = context.project.task
    scored = [
        Scored(
            result.name,
            result.validation_metrics[task.metric],
            result.primary_standard_error or 0.0,
            result.complexity,
        )
        for result in results
        if task.metric in result.validation_metrics
    ]
    if not scored:
        reasons: Any = {result.name: result.error or f"{task.metric} is undefined on validation" for result in results}
        raise NoCandidateError(f"No candidate could be trained and scored: {json.dumps(reasons)}")
    choice = choose(scored, metric=task.metric, greater_is_better=context.project.greater_is_better)
    return TrainResult(
        project=context.project.name,
        run_id=context.run_id,
        dataset_id=context.dataset_id,
        task=task.type,
        metric=task.metric,
        greater_is_better=context.project.greater_is_better,
        candidates=tuple(results),
        chosen=choice.name,
        why=choice.why,
        seconds=seconds,
        resumed=tuple(resumed),
    )
