"""Warn of single features that know the label, before the candidates are trained with them."""

from __future__ import annotations

from typing import Final

import numpy as np

from passerelle.contracts.container import Problem
from passerelle.domain.leakage import SUSPICIOUS, single_feature_scores
from training.progress import tell
from training.train.context import Context
from training.train.data import Rows
from training.train.kept import Kept

ROWS: Final = 5_000


def leakage_warnings(context: Context, kept: Kept) -> tuple[Problem, ...]:
    """Return `suspected_leakage`, worked out once for all attempts of a job."""
    earlier = kept.load()
    if earlier is not None:
        return tuple(Problem.model_validate(problem) for problem in earlier)
    found = suspected_leakage(context)
    kept.save([problem.model_dump(mode="json") for problem in found])
    return found


def suspected_leakage(context: Context) -> tuple[Problem, ...]:
    """Return a warning per suspected feature, the worst first; each is told in the job's log too."""
    train, other = (_sample(rows, context.seed) for rows in (context.train, context.validation))
    task, inputs = context.project.task.type, context.signature.model_inputs
    scores = single_feature_scores((train.frame, train.labels), (other.frame, other.labels), inputs, task=task)
    found = sorted((-score, name) for name, score in scores if score >= SUSPICIOUS)
    measure = "R2" if task == "regression" else "ROC AUC"
    for worst, name in found:
        tell("suspected_leakage", column=name, score=round(-worst, 5), measure=measure)
    return tuple(_warning(name, -worst, measure, context) for worst, name in found)


def _sample(rows: Rows, seed: int) -> Rows:
    return rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows.labels))[:ROWS]))


def _warning(name: str, score: float, measure: str, context: Context) -> Problem:
    label = context.project.data.label.column
    return Problem(
        code="suspected_leakage",
        severity="warning",
        column=name,
        rule=f"no single feature reaches {measure} {SUSPICIOUS}",
        message=f"column {name!r} alone tells {label!r}: {measure} {score:.4f} on validation",
        remedy=f"If it is known only after {label!r}, set role: leakage; if it is known before, nothing is to be done.",
    )
