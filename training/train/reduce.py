"""Fewer inputs: recursive feature elimination by permutation importance, on part of the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from passerelle.contracts.container import CurvePoint
from passerelle.domain.explain.importance import permutation_costs
from passerelle.domain.selection import Option, choose, reduction_sizes
from training.progress import tell
from training.train.context import Context
from training.train.data import Rows
from training.train.fit import DEFAULTS, fit_candidate, primary_resamples, primary_score
from training.train.predict import predict

FIT_ROWS: Final = 15_000
RANK_ROWS: Final = 4_000
SCORE_ROWS: Final = 20_000
#: The reduction may take this share of the job's time limit.
TIME_SHARE: Final = 0.15


@dataclass(frozen=True)
class Reduction:
    """The curve of score v. number of features, and the fewest that are as good as the best of them."""

    curve: tuple[CurvePoint, ...]
    features: tuple[str, ...]


def with_features(context: Context, features: Sequence[str]) -> Context:
    """Return the context of a candidate that sees these inputs only."""
    signature = context.signature.seeing(set(features))
    columns = [column.name for column in signature.model_inputs]
    sent = [column.name for column in signature.inputs]
    return replace(
        context,
        signature=signature,
        train=_with_columns(context.train, columns, sent),
        validation=_with_columns(context.validation, columns, sent),
    )


def _with_columns(rows: Rows, columns: list[str], sent: list[str]) -> Rows:
    return replace(rows, frame=rows.frame[columns], sent=None if rows.sent is None else rows.sent[sent])


def reduce_features(name: str, context: Context, params: Mapping[str, Any] = DEFAULTS) -> Reduction:
    """Fit a candidate with fewer and fewer inputs, leaving out those whose permutation costs least.

    Recursive feature elimination (Guyon, Weston, Barnhill, Vapnik 2002, Machine Learning 46) with permutation
    importance (Breiman 2001, Machine Learning 45). Importance is measured on train rows that the fit has not seen, so
    that validation judges only the result.
    """
    small, ranking = _sample(context)
    deadline = time.monotonic() + TIME_SHARE * 60 * context.project.training.max_runtime_minutes
    every = tuple(column.name for column in context.signature.model_inputs)
    features, sizes = every, reduction_sizes(len(every))
    fits: list[tuple[tuple[str, ...], Option]] = []
    for smaller in (*sizes, 0):
        part = with_features(small, features)
        fitted, option = _fit(name, part, params)
        if option is None:
            break
        fits.append((features, option))
        tell("features_tried", candidate=name, features=len(features), score=round(option.score, 5))
        if not smaller or time.monotonic() > deadline:
            break
        kept = _ranked(fitted, part, ranking, features)[:smaller]
        features = tuple(features[place] for place in sorted(kept))
    return _choose(context, fits, every)


def _sample(context: Context) -> tuple[Context, Rows]:
    """Return a context with part of the rows, and other train rows to rank the features on."""
    generator = np.random.default_rng(context.seed)
    order = generator.permutation(len(context.train.labels))
    ranked = min(RANK_ROWS, len(order) // 4)
    fit = np.sort(order[ranked : ranked + FIT_ROWS])
    scored = np.sort(generator.permutation(len(context.validation.labels))[:SCORE_ROWS])
    small = replace(context, train=context.train.take(fit), validation=context.validation.take(scored))
    return small, context.train.take(np.sort(order[:ranked]))


def _fit(name: str, context: Context, params: Mapping[str, Any]) -> tuple[Any, Option | None]:
    fitted = fit_candidate(name, context, params)
    value = primary_score(context, context.validation, fitted.validation)
    if value is None:
        return fitted.pipeline, None
    return fitted.pipeline, Option(
        name=name,
        features=len(context.signature.model_inputs),
        score=value,
        resamples=primary_resamples(context, fitted.validation),
        complexity=0,
        seconds=fitted.seconds,
    )


def _ranked(pipeline: Any, context: Context, ranking: Rows, features: Sequence[str]) -> list[int]:
    """Return the features' places, the most important first: by how much worse the metric is with one shuffled."""

    def score(frame: pd.DataFrame) -> float | None:
        return primary_score(context, ranking, predict(pipeline, frame, context.project.task.type))

    frame, better = ranking.frame[list(features)], context.project.greater_is_better
    costs = permutation_costs(score, frame, features, seed=context.seed, greater_is_better=better)[:, 0]
    return [place for _, place in sorted(zip(costs, range(len(features)), strict=True), reverse=True)]


def _choose(context: Context, fits: Sequence[tuple[tuple[str, ...], Option]], every: tuple[str, ...]) -> Reduction:
    if not fits:
        return Reduction((), every)
    options = [option for _, option in fits]
    choice = choose(options, metric=context.project.task.metric, greater_is_better=context.project.greater_is_better)
    curve = tuple(
        CurvePoint(
            candidate=option.name,
            features=features,
            score=option.score,
            standard_error=error,
            behind_best=loss,
            as_good=as_good,
        )
        for (features, option), (loss, error, as_good) in zip(fits, choice.behind, strict=True)
    )
    return Reduction(curve, next(features for features, option in fits if option is choice.option))
