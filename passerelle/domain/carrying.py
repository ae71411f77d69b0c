"""Which model of another environment may be served here, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from passerelle.contracts.container import EvaluateResult, GateCheck
from passerelle.contracts.runs import RunOrigin, RunRecord, StageRecord
from passerelle.domain.project import Project
from passerelle.errors import InputError

#: Stages of the other environment that tell how the model came about; they cost nothing here.
_TOLD: Final = ("collect", "prepare", "train", "evaluate")


def need_carriable(run: RunRecord, environment: str, artefacts: Sequence[str]) -> None:
    """Let a run be carried that was trained, accepted by the gate, and served.

    Raises InputError for any other, with what to do.
    """
    if run.status != "succeeded" or run.gate.get("status") != "passed":
        raise InputError(
            f"Run {run.run_id} is {run.status} in {environment}: only a model that its gate passed and that was served "
            f"there is carried. `passerelle --env {environment} runs` lists the others."
        )
    missing = [name for name in artefacts if name not in run.artefacts]
    if missing or run.image_uri is None:
        raise InputError(
            f"Run {run.run_id} of {environment} does not say what its jobs left ({', '.join(missing) or 'its image'}): "
            "it was recorded by an earlier version, so nothing could be verified. Train again there, then carry that "
            "run."
        )


def need_same_contract(project: Project, environment: str, contract_hash: str) -> None:
    """Refuse a model of other columns, labels or rules than the project has here.

    Raises InputError.
    """
    if project.contract_hash() != contract_hash:
        raise InputError(
            f"Project {project.name!r} of {environment} has contract {project.contract_hash()}, the model was trained "
            f"under {contract_hash}: callers here would send other columns than it knows. Deploy the commit of the "
            f"model's project to {environment}, then carry again."
        )


def compare(
    project: Project, evaluation: EvaluateResult, dataset_id: str, champion: RunRecord | None
) -> EvaluateResult:
    """Return the evaluation as it stands here: refused where it is worse than the champion on the very same test data.

    Scores are compared only where both models were tested on the same rows, those of one dataset, by one metric. Where
    champion and model saw different data, neither score says anything of the other: then the model passes as it did
    where it was trained, and the smoke test and whoever approved the carrying decide.
    """
    theirs, ours = _score_of(champion), evaluation.test_metrics.get(evaluation.metric)
    if champion is None or champion.dataset_id != dataset_id or champion.gate.get("metric") != evaluation.metric:
        return evaluation
    if theirs is None or ours is None:
        return evaluation
    better = (ours - theirs) if project.greater_is_better else (theirs - ours)
    allowed = project.training.gate.not_worse_than_champion_by
    check = GateCheck(
        name="not_worse_than_champion_here",
        passed=better >= -allowed,
        value=better,
        required=-allowed,
        message=(
            f"{evaluation.metric} {ours:.4f} against {theirs:.4f} of the champion here, run {champion.run_id}, on the "
            f"test data of dataset {dataset_id}; at most {allowed:g} worse is allowed"
        ),
    )
    checked: dict[str, Any] = {"checks": (*evaluation.checks, check)}
    if not check.passed:
        checked |= {"status": "refused", "reasons": (*evaluation.reasons, check.message)}
    return evaluation.model_copy(update=checked)


def comparison(dataset_id: str, champion: RunRecord | None) -> str:
    """Return what a carried model was compared with here, in words."""
    if champion is None:
        return "No model was served here before: nothing to compare with."
    if champion.dataset_id != dataset_id:
        return (
            f"Not compared with the champion here (run {champion.run_id}): that was tested on dataset "
            f"{champion.dataset_id}, this on {dataset_id}."
        )
    return f"Compared with the champion here (run {champion.run_id}) on the same test data of dataset {dataset_id}."


def carried(run: RunRecord, origin: RunOrigin, here: RunRecord) -> RunRecord:
    """Return the record here of a run that was carried: its history there, its progress and its costs here."""
    told: tuple[StageRecord, ...] = tuple(
        stage.model_copy(update={"billable_seconds": 0.0, "cost_usd": 0.0, "instance_type": None})
        for stage in run.stages
        if stage.stage in _TOLD
    )
    kept: dict[str, Any] = {
        name: getattr(run, name) for name in ("files", "dataset_id", "candidates", "chosen", "why", "gate", "artefacts")
    }
    own = tuple(stage for stage in here.stages if stage.stage not in _TOLD)
    return here.model_copy(update={**kept, "origin": origin, "stages": (*told, *own)})


def _score_of(run: RunRecord | None) -> float | None:
    metrics = run.gate.get("test_metrics", {}) if run else {}
    return metrics.get(run.gate.get("metric")) if run else None
