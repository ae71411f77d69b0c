"""Everything that the gate is to know of a challenger, from its test rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from passerelle.domain.gate import Evidence
from passerelle.domain.gate.calibration import Calibration, bias_of_predictions, calibration_of_probabilities
from passerelle.domain.gate.segments import judge_segments
from training.evaluate.compared import Period
from training.evaluate.inputs import Inputs
from training.evaluate.money import Money
from training.evaluate.segments import find_segments
from training.train.predict import Predicted


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """What others say of the same rows: the baseline, the served champion and the declared business rule."""

    baseline: Predicted
    champion: Predicted | None
    rule: Predicted | None


def gather_evidence(inputs: Inputs, rows: Period, challenger: Predicted, rivals: Rivals, money: Money) -> Evidence:
    """Return what was found about the challenger on the test rows."""
    project, baseline, champion = inputs.project, rivals.baseline, rivals.champion
    own, guessed = rows.scored(challenger), rows.scored(baseline)
    theirs = rows.scored(champion) if champion is not None else None
    ruled = rows.scored(rivals.rule) if rivals.rule is not None else None
    segments = find_segments(rows, challenger, baseline, champion)
    outputs = challenger.probabilities if challenger.probabilities is not None else challenger.predictions
    return Evidence(
        metric=project.task.metric,
        outputs=outputs,
        resampled=rows.blocks.words,
        drawn=own.resampled,
        score=own.score,
        baseline_score=guessed.score,
        champion_score=theirs.score if theirs else None,
        rule_score=ruled.score if ruled else None,
        baseline=rows.compare(own, guessed),
        rule=rows.compare(own, ruled) if ruled else None,
        champion=rows.compare(own, theirs) if theirs else None,
        segments=segments,
        judged=judge_segments(project.training.gate.segments, project.task.metric, segments),
        calibration=_calibration(rows, challenger) if np.all(np.isfinite(outputs)) else None,
        worth=money.worth,
        money=money.compared,
        currency=project.why.value.currency if project.why.value else "",
    )


def _calibration(rows: Period, predicted: Predicted) -> Calibration | None:
    shares = predicted.probabilities
    if shares is None:
        return bias_of_predictions(rows.labels, predicted.predictions, rows.blocks, rows.weights)
    if rows.project.task.type == "binary":
        return calibration_of_probabilities(rows.labels == 1, shares[:, 1], rows.blocks, rows.weights)
    right = predicted.predictions == rows.labels
    return calibration_of_probabilities(right, shares.max(axis=1), rows.blocks, rows.weights)


def left_out(evidence: Evidence) -> tuple[str, ...]:
    """Return what could not be judged, each with the reason."""
    return tuple(
        f"{segment.name} ({segment.rows:,} rows): {segment.not_judged}"
        for segment in evidence.segments
        if segment.not_judged
    )
