"""Which model of another environment may be served here, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from passerelle.contracts.container import EvaluateResult, GateCheck
from passerelle.contracts.runs import RunOrigin, RunRecord, StageRecord
from passerelle.domain.project import Project
from passerelle.errors import InputError

#: Stages of the other environment that tell how the model came about; they cost nothing here.
_TOLD: Final = ("collect", "prepare", "tune", "train", "evaluate")
_ROUNDING: Final = 1e-12


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


def need_same_contract(name: str, environment: str, here: str, contract_hash: str) -> None:
    """Refuse a model of other columns, labels, rules or features than the project has here.

    Raises InputError.
    """
    if here != contract_hash:
        raise InputError(
            f"Project {name!r} of {environment} has contract {here}, the model was trained under {contract_hash}: "
            "callers here would send other columns than it knows. Deploy the commit of the model's project to "
            f"{environment}, then carry again."
        )


def compare(
    project: Project,
    evaluation: EvaluateResult,
    dataset_id: str,
    champion: RunRecord | None,
    judged: EvaluateResult | None = None,
) -> EvaluateResult:
    """Return the evaluation as it stands here: refused where it may be worse than the champion on the very same rows.

    The rule is the gate's own: sure by the project's `confidence` that it is at most `not_worse_than_champion_by`
    worse, from paired resamples that both evaluations left; `judged` is the champion's. Where those are not of the same
    draws, the scores alone decide, and it is said. Scores are compared only where both models were tested on the rows
    of one dataset, by one metric. Where champion and model saw different data, neither score says anything of the
    other: then the model passes as it did where it was trained, and the smoke test and whoever approved the carrying
    decide.
    """
    theirs, ours = _score_of(champion), evaluation.test_metrics.get(evaluation.metric)
    if champion is None or champion.dataset_id != dataset_id or champion.gate.get("metric") != evaluation.metric:
        return evaluation
    if theirs is None or ours is None:
        return evaluation
    sign, gate = 1.0 if project.greater_is_better else -1.0, project.training.gate
    better, allowed = sign * (ours - theirs), gate.not_worse_than_champion_by
    differences = _paired(evaluation, judged, sign)
    if differences:
        sure = sum(value >= -allowed - _ROUNDING for value in differences) / len(differences)
        lower, upper = (differences[round(share * (len(differences) - 1))] for share in (0.025, 0.975))
        passed = sure >= gate.confidence
        how = (
            f"better by {better:+.4f} (95 % interval {lower:+.4f} to {upper:+.4f}); {100 * sure:.1f} % sure (required "
            f"{100 * gate.confidence:g} %) that it is at most {allowed:g} worse"
        )
    else:
        passed = better >= -allowed
        how = f"at most {allowed:g} worse is allowed; by the scores alone, as the two were not resampled alike"
    check = GateCheck(
        name="not_worse_than_champion_here",
        passed=passed,
        value=better,
        required=-allowed,
        message=(
            f"{evaluation.metric} {ours:.4f} against {theirs:.4f} of the champion here, run {champion.run_id}, on the "
            f"test data of dataset {dataset_id}: {how}"
        ),
    )
    checked: dict[str, Any] = {"checks": (*evaluation.checks, check)}
    if not check.passed:
        checked |= {"status": "refused", "reasons": (*evaluation.reasons, check.message)}
    return evaluation.model_copy(update=checked)


def _paired(ours: EvaluateResult, theirs: EvaluateResult | None, sign: float) -> list[float]:
    """Return by how much ours is better on each resample, in order; empty where they were not drawn alike."""
    if theirs is None or ours.resampled is None or theirs.resampled is None:
        return []
    if ours.resampled.draws != theirs.resampled.draws:
        return []
    pairs = list(zip(ours.resampled.scores, theirs.resampled.scores, strict=True))
    known = sorted(sign * (one - other) for one, other in pairs if one is not None and other is not None)
    return known if len(known) >= max(2, len(pairs) / 2) else []


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
