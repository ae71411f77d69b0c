"""Choose among the candidates of a training job."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from passerelle.contracts.container import CandidateResult
from passerelle.domain.selection import Choice, Option, choose
from passerelle.errors import PasserelleError
from training.train.context import Context


class NoCandidateError(PasserelleError):
    """Every candidate failed."""


def choose_candidate(context: Context, results: list[CandidateResult]) -> Choice:
    """Return the simplest candidate that is as good as the best.

    Raises NoCandidateError when none could be trained and scored.
    """
    task = context.project.task
    options = [
        Option(
            name=result.name,
            features=len(result.features),
            score=result.validation_metrics[task.metric],
            resamples=np.asarray(result.resamples, dtype=np.float64),
            complexity=result.complexity,
            seconds=result.seconds,
        )
        for result in results
        if task.metric in result.validation_metrics
    ]
    if not options:
        reasons: Any = {result.name: result.error or f"{task.metric} is undefined on validation" for result in results}
        raise NoCandidateError(f"No candidate could be trained and scored: {json.dumps(reasons)}")
    return choose(options, metric=task.metric, greater_is_better=context.project.greater_is_better)
