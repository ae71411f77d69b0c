"""Entry `train`: every candidate on the same split, the simplest good one chosen, its bundle as the model."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from passerelle.contracts.container import (
    REPRODUCE,
    RESULT_FILE,
    THREADS,
    USAGE_FILE,
    CandidateResult,
    CurvePoint,
    TrainResult,
)
from passerelle.contracts.study import TUNED_CANDIDATE, Study
from passerelle.domain.dataset.schema import sent_columns
from passerelle.domain.features.source import compile_features
from passerelle.domain.machine import cores
from passerelle.domain.project import Project
from passerelle.domain.project.metric_names import OWN, RULE, complexity
from passerelle.domain.rule import columns_of, parse_rule
from passerelle.domain.selection import Choice
from training.bundle import Bundle
from training.bundle.own_code import module_name
from training.paths import base_dir, channel, hyperparameters
from training.progress import metric, tell
from training.project_archive import read_code, read_features, read_project
from training.train.candidate import LeftOutError, train_candidate, write_artifacts
from training.train.checkpoint import Checkpoints, checkpoint_key
from training.train.choice import choose_candidate
from training.train.context import Context
from training.train.data import inputs_of, make_signature, read_columns, read_rows
from training.train.derived import need_same_features
from training.train.leakage import leakage_warnings
from training.train.machine import device
from training.train.predict import Predicted, predict
from training.train.reduce import reduce_features, with_features
from training.train.reference import reference_of
from training.train.search import search, trial_job, tuned_params
from training.usage import recorded_usage

#: What these see is declared, or nothing: there is nothing to leave out.
FIXED: Final = ("baseline", RULE, OWN)


def main() -> int:
    """Run the entry in SageMaker's layout."""
    started = time.monotonic()
    parameters, project = hyperparameters(), read_project(channel("project"))
    context = make_context(parameters, project)
    if TUNED_CANDIDATE in parameters:
        return trial_job(context, parameters)
    key = checkpoint_key(
        own=context.own and module_name(context.own),
        dataset=context.dataset_id,
        contract=context.contract_hash,
        seed=context.seed,
        git=context.git_sha,
        lock=context.lock_hash,
        project=project.model_dump(mode="json", exclude={"training": {"candidates"}}),
    )
    checkpoints = Checkpoints(base_dir() / "checkpoints", key, project_code=context.own is not None)
    output = base_dir() / "output" / "data"
    output.mkdir(parents=True, exist_ok=True)
    leaks = leakage_warnings(context, checkpoints.kept("leakage", "The search for leakage"))
    with recorded_usage(output / USAGE_FILE):
        if REPRODUCE in parameters:
            only = CandidateResult.model_validate_json(parameters[REPRODUCE])
            results, resumed = _train_again(only, context, checkpoints, output)
            curve: tuple[CurvePoint, ...] = ()
            study = None
        else:
            results, resumed = _train_all(context, checkpoints, output)
            study = search(context, parameters, key)
            results += _tuned(study, context, checkpoints, output, resumed)
            curve = _reduce(context, checkpoints, output, results, resumed)
    choice = choose_candidate(context, results)
    result = _result(context, results, choice, curve, resumed, time.monotonic() - started)
    result = result.model_copy(update={"study": study, "warnings": (*context.warnings, *leaks)})
    model = base_dir() / "model"
    shutil.copytree(checkpoints.bundle_folder(result.chosen), model, dirs_exist_ok=True)
    (output / RESULT_FILE).write_text(result.model_dump_json(indent=2), encoding="utf-8")
    tell("model_chosen", candidate=result.chosen, why=result.why)
    return 0


def make_context(parameters: dict[str, str], project: Project) -> Context:
    """Read the data once for all candidates."""
    task = project.task.type
    inputs = inputs_of(project, read_columns(channel("train")))
    features = read_features(channel("project"), project)
    derived = compile_features(features, project) if features is not None else ()
    sent = sent_columns(inputs, derived) if derived else ()
    train = read_rows(channel("train"), inputs, task, sent)
    validation = read_rows(channel("validation"), inputs, task, sent)
    signature = make_signature(project, inputs, train.labels, derived)
    need_same_features(signature, validation)
    fitted_on, warnings = device()
    return Context(
        reference=reference_of(project, signature, train),
        project=project,
        signature=signature,
        train=train,
        validation=validation,
        run_id=parameters["run_id"],
        dataset_id=parameters["dataset_id"],
        contract_hash=parameters["contract_hash"],
        git_sha=parameters.get("git_sha", "unknown"),
        lock_hash=parameters.get("lock_hash", "unknown"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=int(parameters.get("seed", project.training.seed)),
        threads=int(parameters.get(THREADS) or cores()),
        device=fitted_on,
        warnings=warnings,
        own=read_code(channel("project"), project.training.model) if project.training.model else None,
        features=features,
    )


def _train_all(context: Context, checkpoints: Checkpoints, output: Path) -> tuple[list[CandidateResult], list[str]]:
    results: list[CandidateResult] = []
    resumed: list[str] = []
    project = context.project
    for name in project.candidates:
        rank = complexity(project.task.type, name)
        seen = with_features(context, columns_of(parse_rule(project.training.rule))) if name == RULE else context
        results.append(_candidate(Plan(name, name, rank, seen), checkpoints, output, resumed))
    return results, resumed


def _train_again(
    only: CandidateResult, context: Context, checkpoints: Checkpoints, output: Path
) -> tuple[list[CandidateResult], list[str]]:
    """Train one candidate as its run recorded it: its kind, its inputs, its parameters."""
    seen = with_features(context, only.features) if only.features else context
    plan = Plan(only.kind or only.name, only.name, only.complexity, seen, only.overrides)
    resumed: list[str] = []
    return [_candidate(plan, checkpoints, output, resumed)], resumed


def _tuned(
    study: Study | None, context: Context, checkpoints: Checkpoints, output: Path, resumed: list[str]
) -> list[CandidateResult]:
    """Train the study's best trial as one more candidate, on all rows and judged as every other."""
    best = study.ranked()[:1] if study else []
    task = context.project.task.type
    plans = [
        Plan(item.candidate, f"{item.candidate}-tuned", complexity(task, item.candidate), context, tuned_params(item))
        for item in best
    ]
    return [_candidate(plan, checkpoints, output, resumed) for plan in plans]


def _reduce(
    context: Context, checkpoints: Checkpoints, output: Path, results: list[CandidateResult], resumed: list[str]
) -> tuple[CurvePoint, ...]:
    """Train the best candidate once more with fewer inputs, where fewer are as good; returns the curve."""
    first = choose_candidate(context, results).option
    if not context.project.training.reduce_features or first.name in FIXED or first.features < 2:
        return ()
    tell("features_reduced", candidate=first.name, features=first.features)
    kind, params = next((item.kind or item.name, item.overrides) for item in results if item.name == first.name)
    reduction = reduce_features(kind, context, checkpoints, params)
    if len(reduction.features) < first.features:
        label = f"{first.name}-{len(reduction.features)}-features"
        plan = Plan(kind, label, first.complexity, with_features(context, reduction.features), params)
        results.append(_candidate(plan, checkpoints, output, resumed))
    return reduction.curve


@dataclass(frozen=True)
class Plan:
    """One candidate to train: its kind, what it is called, its rank of complexity, what it sees, its parameters."""

    name: str
    label: str
    complexity: int
    context: Context
    params: Mapping[str, Any] = field(default_factory=dict)


def _candidate(plan: Plan, checkpoints: Checkpoints, output: Path, resumed: list[str]) -> CandidateResult:
    """Train one candidate, or take it from its checkpoint, and write what MLflow is to show of it."""
    finished = _finished(plan, checkpoints, resumed) or _train_one(plan, checkpoints)
    if isinstance(finished, CandidateResult):
        return finished
    bundle, result, predicted = finished
    write_artifacts(bundle, result, predicted, plan.context, output)
    primary = plan.context.project.task.metric
    score = result.validation_metrics.get(primary)
    tell("candidate_finished", candidate=plan.label, metric=primary, score=score, seconds=round(result.seconds, 2))
    for note in result.notes:
        tell("candidate_note", candidate=plan.label, note=note)
    if score is not None:
        metric(f"validation:{primary}", score)
    return result


def _finished(
    plan: Plan, checkpoints: Checkpoints, resumed: list[str]
) -> tuple[Bundle, CandidateResult, Predicted] | None:
    """Return a candidate that was finished before an interruption, None where there is none of use."""
    earlier = checkpoints.load(plan.label)
    if earlier is None:
        return None
    resumed.append(plan.label)
    print(f"{plan.label}: finished before the interruption, taken from its checkpoint", flush=True)
    seen = plan.context.validation.frame
    return *earlier, predict(earlier[0].pipeline, seen, plan.context.project.task.type)


def _train_one(plan: Plan, checkpoints: Checkpoints) -> tuple[Bundle, CandidateResult, Predicted] | CandidateResult:
    """Train and checkpoint one candidate; one that fails does not take the others with it."""
    tell("candidate_started", candidate=plan.label)
    started = time.monotonic()
    work = base_dir() / "work" / plan.label
    shutil.rmtree(work, ignore_errors=True)
    try:
        bundle, result, predicted = train_candidate(
            plan.name,
            plan.complexity,
            plan.context,
            work,
            label=plan.label,
            params=plan.params,
            checkpoints=checkpoints,
        )
    except LeftOutError as error:
        tell("candidate_left_out", candidate=plan.label, why=str(error))
        return _without(plan, "left_out", started, str(error))
    except Exception as error:  # whatever a library raises; being stopped is no Exception
        traceback.print_exc()
        tell("candidate_failed", candidate=plan.label, error=str(error))
        return _without(plan, "failed", started, f"{type(error).__name__}: {error}")
    checkpoints.save(work, result)
    return bundle, result, predicted


def _without(plan: Plan, status: Literal["failed", "left_out"], started: float, why: str) -> CandidateResult:
    seconds = time.monotonic() - started
    return CandidateResult(name=plan.label, status=status, complexity=plan.complexity, seconds=seconds, error=why)


def _result(
    context: Context,
    results: list[CandidateResult],
    choice: Choice,
    curve: tuple[CurvePoint, ...],
    resumed: list[str],
    seconds: float,
) -> TrainResult:
    task = context.project.task
    return TrainResult(
        project=context.project.name,
        run_id=context.run_id,
        dataset_id=context.dataset_id,
        task=task.type,
        metric=task.metric,
        greater_is_better=context.project.greater_is_better,
        candidates=tuple(results),
        chosen=choice.option.name,
        why=_why(context, choice),
        seconds=seconds,
        resumed=tuple(resumed),
        curve=curve,
    )


def _why(context: Context, choice: Choice) -> str:
    every = len(context.signature.model_inputs)
    if choice.option.features == every:
        return choice.why
    return f"{choice.why} It sees {choice.option.features} of {every} features: more of them gain nothing that shows."
