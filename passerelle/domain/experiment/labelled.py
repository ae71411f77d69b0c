"""A shadow judged anew when labels have come: then a challenger is held to what was right, not to the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import PairedTest, ShadowEvidence
from passerelle.domain.experiment.outcomes import outcomes_of
from passerelle.domain.experiment.paired import Labelled, Scored, judge_metric, judge_money
from passerelle.domain.experiment.shadow import judge_with_labels
from passerelle.domain.project import Project
from passerelle.domain.project.model import is_positive
from passerelle.domain.resampling import draw_weights, make_blocks

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Said:
    """What a model said to each labelled request, as predictions are recorded."""

    decisions: Sequence[str | None]
    scores: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class LabelledAnswers:
    """Requests that both models answered and whose label is known; all of one length."""

    labels: Sequence[Any]
    entities: Array
    champion: Said
    challenger: Said


def judge_labelled(evidence: ShadowEvidence, project: Project, answers: LabelledAnswers) -> ShadowEvidence:
    """Return the shadow's evidence with the tests that labels allow, and the verdict that follows.

    A metric that recorded predictions do not allow (they hold the greatest probability of several classes only) is left
    out, and agreement goes on deciding.
    """
    rows = _labelled(project, answers)
    return judge_with_labels(evidence, metric=_metric(project, rows, answers), money=_money(project, rows, answers))


def _labelled(project: Project, answers: LabelledAnswers) -> Labelled:
    task, count = project.task.type, len(answers.labels)
    apart = len(np.unique(answers.entities)) == count
    blocks = make_blocks(count, by="row" if apart else "entity", entities=answers.entities)
    if task == "binary":
        labels: Array = np.array([is_positive(project.data.label, label) for label in answers.labels], dtype=int)
    elif task == "multiclass":
        labels = np.array([str(label) for label in answers.labels])
    else:
        labels = np.array(answers.labels, dtype=np.float64)
    classes = np.unique(labels) if task == "multiclass" else np.array([0, 1])
    return Labelled(task, labels, classes, blocks, draw_weights(blocks, seed=project.training.seed))


def _metric(project: Project, rows: Labelled, answers: LabelledAnswers) -> PairedTest | None:
    champion, challenger = (_scored(rows.task, said) for said in (answers.champion, answers.challenger))
    if champion is None or challenger is None or not len(rows.labels):
        return None
    if rows.task == "multiclass" and project.task.metric in ("roc_auc", "log_loss"):
        return None
    return judge_metric(project.task.metric, rows, champion, challenger)


def _scored(task: str, said: Said) -> Scored | None:
    """Return what metrics are computed of; None where something was not recorded."""
    if task == "multiclass":
        known = None not in said.decisions
        # No metric of decided classes looks at probabilities.
        return Scored(np.array(said.decisions), np.zeros((len(said.decisions), 0))) if known else None
    if None in said.scores:
        return None
    scores = np.array(said.scores, dtype=np.float64)
    if task == "regression":
        return Scored(scores)
    return Scored((scores >= 0.5).astype(int), np.column_stack([1 - scores, scores]))


def _money(project: Project, rows: Labelled, answers: LabelledAnswers) -> PairedTest | None:
    value = project.why.value
    if value is None or rows.task == "multiclass" or not len(rows.labels):
        return None
    if not (value.per_error_unit if rows.task == "regression" else value.tells_decisions_apart):
        return None
    champion, challenger = (
        outcomes_of(project, "value", answers.labels, said.decisions, said.scores)
        for said in (answers.champion, answers.challenger)
    )
    if not (np.all(np.isfinite(champion)) and np.all(np.isfinite(challenger))):
        return None
    return judge_money(rows, champion, challenger, value.currency)
