"""The search of a training job: what the project wants of it, what an earlier study knows, what the instance costs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from passerelle.contracts.study import (
    OBJECTIVE,
    STUDY_CHANNEL,
    STUDY_FILE,
    TRIAL_REACHED,
    TRIAL_ROUNDS,
    TUNED_CANDIDATE,
    WARM_START,
    Study,
    TrialPoint,
    TrialRecord,
    TrialStage,
)
from passerelle.domain.cost.prices import instance_price
from passerelle.domain.project.training import Training
from passerelle.domain.project.tuning import Tuning
from passerelle.domain.tuning.budget import Budget
from passerelle.domain.tuning.fleet import joined
from passerelle.domain.tuning.space import SPACES, Space, spaces
from training.paths import base_dir, channel
from training.progress import metric, tell
from training.train.context import Context
from training.train.study_file import StudyFile
from training.train.trial import best_of, encode, scored_stages, search_context
from training.train.tune import Plan, tune

#: Where a price in USD is read when the job does not say its region.
REGION: Final = "us-east-1"


def search(context: Context, parameters: Mapping[str, str], key: str) -> Study | None:
    """Return the study of the project's search, None when it wants none."""
    tuning = context.project.training.tuning
    if tuning is None:
        return None
    found = spaces(tuning.candidates or context.project.candidates, tuning.overrides())
    earlier = earlier_points(parameters.get(WARM_START, ""), found)
    if not found:
        return None
    budget, fleet = budget_of(tuning, context.project.training), fleet_study()
    if fleet is not None:
        budget = _rest(budget, fleet, len(found) + len(earlier))
    if budget.usd is not None and not budget.hourly_usd:
        tell("tuning_skipped", why="No price of this instance is known to keep a budget in USD: give minutes instead.")
        return None
    tell("tuning_started", candidates=[space.candidate for space in found], earlier=len(earlier), trials=budget.trials)
    plan = Plan(tuning=tuning, spaces=found, budget=budget, earlier=earlier)
    study = tune(context, plan, StudyFile(base_dir() / "checkpoints" / "tuning" / "study.json", key))
    tell("tuning_ended", trials=len(study.trials), by=study.ended_by, seconds=round(study.seconds, 1), usd=study.usd)
    return study if fleet is None else joined([fleet, study]).model_copy(update={"ended_by": fleet.ended_by})


def fleet_study() -> Study | None:
    """Return what the run's SageMaker tuning jobs have found; None when the search is this job's."""
    path = channel(STUDY_CHANNEL) / STUDY_FILE
    return Study.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _rest(budget: Budget, fleet: Study, trials: int) -> Budget:
    """Return what is left to this job after tuning jobs: the trials that SageMaker cannot be told to begin with.

    These are the usual parameters and an earlier study's best.
    """
    usd = None if budget.usd is None else max(0.0, budget.usd - (fleet.usd or 0.0))
    return replace(budget, trials=trials, minutes=None, usd=usd)


def budget_of(tuning: Tuning, training: Training) -> Budget:
    """Return the search's budget on this job's instance."""
    instance, region = _instance_type(training.instance_type), os.environ.get("AWS_REGION", REGION)
    price = instance_price("SageMaker Training", instance, region)
    return Budget(
        trials=tuning.trials,
        minutes=tuning.minutes,
        usd=tuning.usd,
        hourly_usd=price.usd if price else None,
        max_runtime_minutes=training.max_runtime_minutes,
    )


def _instance_type(declared: str) -> str:
    """Return the type that the job runs on, which a fallback may have changed."""
    path: Path = base_dir() / "input" / "config" / "resourceconfig.json"
    document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return str(document.get("current_instance_type") or declared)


def earlier_points(text: str, found: tuple[Space, ...]) -> tuple[TrialPoint, ...]:
    """Return an earlier study's best trials; SageMaker's tuning jobs give their values as text.

    Text that is no list of points is told and passed over: it only makes the search begin from the usual parameters.
    """
    known = {space.candidate: {item.name: item for item in space.dimensions} for space in found}
    try:
        points = [TrialPoint.model_validate(item) for item in json.loads(text or "[]")]
        return tuple(
            TrialPoint(
                candidate=point.candidate,
                params={name: known[point.candidate][name].parse(str(value)) for name, value in point.params.items()},
            )
            for point in points
            if known.get(point.candidate, {}).keys() >= point.params.keys()
        )
    except (ValueError, TypeError) as error:
        print(f"The earlier study is not used: {error}", flush=True)
        return ()


def trial_job(context: Context, parameters: Mapping[str, str]) -> int:
    """Run one training of a SageMaker tuning job: a candidate with the parameters that SageMaker chose.

    The best score so far is told after every stage, so that the last one told is the trial's, and Hyperband counts
    stages as it counts epochs (developer guide, "Hyperband").
    """
    tuning, candidate = context.project.training.tuning or Tuning(), parameters[TUNED_CANDIDATE]
    (space,) = spaces([candidate], tuning.overrides())
    params = {item.name: item.parse(parameters[item.name]) for item in space.dimensions if item.name in parameters}
    part, reached = search_context(context, threads=context.threads), list[TrialStage]()
    for stage in scored_stages(space, params, part, encode(candidate, part)):
        reached.append(stage)
        best = best_of(reached, greater_is_better=context.project.greater_is_better)
        metric(TRIAL_ROUNDS, best.rounds)
        metric(TRIAL_REACHED, stage.rounds)
        # Last, so that who learns from it that a stage is over knows the rest.
        metric(OBJECTIVE, best.score)
    tell("trial_ended", candidate=candidate, score=best.score, rounds=best.rounds, params=params)
    return 0


def tuned_params(trial: TrialRecord) -> dict[str, Any]:
    """Return the parameters of a trial's model, its rounds among them."""
    rounds = SPACES[trial.candidate].rounds
    return {**trial.params, **({rounds: trial.rounds} if rounds else {})}
