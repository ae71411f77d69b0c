"""Fewer inputs: recursive feature elimination by permutation importance, on part of the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from passerelle.contracts.container import CurvePoint
from passerelle.domain.explain.importance import permutation_costs
from passerelle.domain.selection import Option, choose, reduction_sizes
from training.progress import tell
from training.train.checkpoint import Checkpoints
from training.train.context import Context
from training.train.data import Rows
from training.train.fit import DEFAULTS, fit_candidate, primary_resamples, primary_score
from training.train.fit_checkpoint import FitCheckpoint
from training.train.kept import Kept, KeptNumbers
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


def reduce_features(
    name: str, context: Context, checkpoints: Checkpoints, params: Mapping[str, Any] = DEFAULTS
) -> Reduction:
    """Fit a candidate with fewer and fewer inputs, leaving out those whose permutation costs least.

    Recursive feature elimination (Guyon, Weston, Barnhill, Vapnik 2002, Machine Learning 46) with permutation
    importance (Breiman 2001, Machine Learning 45). Importance is measured on train rows that the fit has not seen, so
    that validation judges only the result.
    """
    small, ranking = _sample(context)
    every = tuple(column.name for column in context.signature.model_inputs)
    steps = _Steps(name, context, checkpoints, {"candidate": name, "params": dict(params), "inputs": every})
    for smaller in (*reduction_sizes(len(every)), 0)[len(steps.fits) :]:
        if steps.ended:
            break
        features = steps.following or every
        part = with_features(small, features)
        fitted, option = _fit(name, part, params, steps.fit_checkpoint(features))
        if option is None:
            break
        tell("features_tried", candidate=name, features=len(features), score=round(option.score, 5))
        steps.fits.append((features, option))
        steps.following = ()
        if smaller and not steps.out_of_time:
            kept = _ranked(fitted, part, ranking, features, steps.costs(features))[:smaller]
            steps.following = tuple(features[place] for place in sorted(kept))
        steps.save()
    return _choose(context, steps.fits, every)


class _Steps:
    """The sizes that were tried, kept after each; `following` are the next one's features, none when it has ended."""

    def __init__(self, name: str, context: Context, checkpoints: Checkpoints, identity: dict[str, Any]) -> None:
        self._label, self._checkpoints, self._identity = f"{name}-reduction", checkpoints, identity
        self._every_seconds = context.project.training.checkpoint_seconds
        self._kept = checkpoints.kept(self._label, f"The reduction of {name}", **identity)
        earlier = self._kept.load() or {"fits": [], "following": (), "seconds": 0.0}
        self.fits = [(tuple(features), _option(name, len(features), kept)) for features, kept in earlier["fits"]]
        self.following: tuple[str, ...] = tuple(earlier["following"])
        self._earlier_seconds, self._started = float(earlier["seconds"]), time.monotonic()
        self._most_seconds = TIME_SHARE * 60 * context.project.training.max_runtime_minutes
        if self.fits:
            tell("reduction_resumed", candidate=name, sizes=len(self.fits))

    @property
    def ended(self) -> bool:
        return bool(self.fits) and not self.following

    @property
    def _seconds(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._started

    @property
    def out_of_time(self) -> bool:
        return self._seconds > self._most_seconds

    def save(self) -> None:
        """Keep what there is, in place of the fit and the ranking that led to it."""
        fits = [
            (features, {"score": each.score, "resamples": each.resamples.tolist(), "seconds": each.seconds})
            for features, each in self.fits
        ]
        self._kept.save({"fits": fits, "following": self.following, "seconds": self._seconds})
        last = self.fits[-1][0]
        self.fit_checkpoint(last).remove()
        self._ranking(last).remove()

    def fit_checkpoint(self, features: Sequence[str]) -> FitCheckpoint:
        identity = {**self._identity, "features": features}
        return self._checkpoints.fit(self._label, every_seconds=self._every_seconds, **identity)

    def costs(self, features: Sequence[str]) -> KeptNumbers:
        """Return the scores of shuffled columns; half an interval, as the fit before them may have lost the other."""
        return KeptNumbers(self._ranking(features), self._every_seconds / 2)

    def _ranking(self, features: Sequence[str]) -> Kept:
        what = f"The ranking of {len(features)} features"
        return self._checkpoints.kept(f"{self._label}-ranking", what, **self._identity, features=features)


def _option(name: str, features: int, kept: Mapping[str, Any]) -> Option:
    resamples = np.asarray(kept["resamples"], dtype=np.float64)
    return Option(
        name=name,
        features=features,
        score=kept["score"],
        resamples=resamples,
        complexity=0,
        seconds=kept["seconds"],
    )


def _sample(context: Context) -> tuple[Context, Rows]:
    """Return a context with part of the rows, and other train rows to rank the features on."""
    generator = np.random.default_rng(context.seed)
    order = generator.permutation(len(context.train.labels))
    ranked = min(RANK_ROWS, len(order) // 4)
    fit = np.sort(order[ranked : ranked + FIT_ROWS])
    scored = np.sort(generator.permutation(len(context.validation.labels))[:SCORE_ROWS])
    small = replace(context, train=context.train.take(fit), validation=context.validation.take(scored))
    return small, context.train.take(np.sort(order[:ranked]))


def _fit(
    name: str, context: Context, params: Mapping[str, Any], checkpoint: FitCheckpoint
) -> tuple[Any, Option | None]:
    fitted = fit_candidate(name, context, params, checkpoint=checkpoint)
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


def _ranked(pipeline: Any, context: Context, ranking: Rows, features: Sequence[str], numbers: KeptNumbers) -> list[int]:
    """Return the features' places, the most important first: by how much worse the metric is with one shuffled."""

    def score(frame: pd.DataFrame) -> float | None:
        answers = partial(predict, pipeline, frame, context.project.task.type)
        return numbers.next(lambda: primary_score(context, ranking, answers()))

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
