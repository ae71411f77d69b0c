"""One trial of a search: a model fitted in stages on rows that are encoded once for all trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from passerelle.contracts.study import TrialStage, Value
from passerelle.domain.tuning.space import Space, stages
from training.train.context import Context
from training.train.fit import candidate_pipeline, primary_score
from training.train.predict import predict
from training.train.stages import fit_in_stages
from training.train.weighing import fit_weights

#: At most so many validation rows score a stage: the chosen parameters are judged on all of them afterwards.
SCORE_ROWS: Final = 20_000


@dataclass(frozen=True)
class Encoded:
    """A candidate's inputs after its encoder: no parameter that is tuned changes them."""

    train: Any
    validation: Any


def search_context(context: Context, *, threads: int) -> Context:
    """Return the context of a search: a sample of the validation rows, and so many threads for a fit."""
    rows = context.validation
    if len(rows.labels) <= SCORE_ROWS:
        return replace(context, threads=threads)
    chosen = np.sort(np.random.default_rng(context.seed).permutation(len(rows.labels))[:SCORE_ROWS])
    return replace(context, threads=threads, validation=rows.take(chosen))


def encode(candidate: str, context: Context) -> Encoded:
    """Return the rows as the candidate's model gets them."""
    encoder = candidate_pipeline(candidate, context)[:-1]
    train = encoder.fit_transform(context.train.frame, context.train.labels)
    return Encoded(train, encoder.transform(context.validation.frame))


def scored_stages(
    space: Space, params: Mapping[str, Value], context: Context, encoded: Encoded
) -> Iterator[TrialStage]:
    """Fit a candidate with these parameters; yield its score on validation after each stage.

    Raises ArithmeticError when the metric is undefined on these rows.
    """
    longest: dict[str, Any] = {space.rounds: space.most} if space.rounds else {}
    model = candidate_pipeline(space.candidate, context, {**params, **longest}).steps[-1]
    pipeline, steps = Pipeline([model]), stages(space)
    weights = fit_weights(space.candidate, context, context.train)
    for rounds in fit_in_stages(pipeline, encoded.train, context.train.labels, stages=tuple(steps), weights=weights):
        predicted = predict(pipeline, encoded.validation, context.project.task.type)
        score = primary_score(context, context.validation, predicted)
        if score is None:
            raise ArithmeticError(f"{context.project.task.metric} is undefined on the validation rows")
        yield TrialStage(step=steps[rounds], rounds=rounds, score=float(score))


def best_of(reached: list[TrialStage], *, greater_is_better: bool) -> TrialStage:
    """Return the stage with the best score, the earlier of equal ones."""
    sign = 1.0 if greater_is_better else -1.0
    return max(reached, key=lambda stage: (sign * stage.score, -stage.rounds))
