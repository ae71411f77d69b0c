"""Fit one candidate and judge it on validation: what training, feature reduction and tuning share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy.typing as npt
from sklearn.pipeline import Pipeline

from passerelle.domain.candidates.pipelines import make_candidate
from passerelle.domain.metrics import score
from passerelle.domain.project.metric_names import OWN
from passerelle.domain.resampled import resampled_scores
from passerelle.domain.resampling import draw_weights
from training.train.context import Context
from training.train.data import Rows
from training.train.fit_checkpoint import FitCheckpoint
from training.train.machine import leave_gpu
from training.train.own import own_pipeline
from training.train.predict import Predicted, predict
from training.train.weighing import fit_pipeline

#: The standard error of a difference is then itself uncertain by 5 %.
RESAMPLES: Final = 200
DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, what it says of validation, how long its fit took (all attempts), what was done otherwise."""

    pipeline: Pipeline
    validation: Predicted
    seconds: float
    notes: tuple[str, ...] = ()


def fit_candidate(
    name: str, context: Context, params: Mapping[str, Any] = DEFAULTS, *, checkpoint: FitCheckpoint | None = None
) -> Fitted:
    """Fit a candidate on the train rows; `params` replace its model's own, with `checkpoint` it can be interrupted."""
    started = time.monotonic()
    pipeline = candidate_pipeline(name, context, params)
    notes = fit_pipeline(pipeline, name, context, checkpoint)
    leave_gpu(pipeline)
    seconds = time.monotonic() - started + (checkpoint.earlier_seconds if checkpoint else 0.0)
    predicted = predict(pipeline, context.validation.frame, context.project.task.type)
    return Fitted(pipeline, predicted, seconds, notes)


def candidate_pipeline(name: str, context: Context, params: Mapping[str, Any] = DEFAULTS) -> Pipeline:
    """Return a candidate's unfitted pipeline."""
    if name == OWN:
        return own_pipeline(context)
    return make_candidate(
        name,
        task=context.project.task.type,
        inputs=context.signature.model_inputs,
        time_parts=context.project.training.time_features,
        seed=context.seed,
        threads=context.threads,
        device=context.device,
        params=params,
        monotone=context.project.training.monotone,
        rule=context.project.training.rule,
    )


def primary_score(context: Context, rows: Rows, predicted: Predicted) -> float | None:
    """Return the project's metric on some rows, None where it is undefined."""
    task = context.project.task
    return score(task.metric, task.type, rows.labels, predicted.predictions, predicted.probabilities, predicted.classes)


def primary_resamples(context: Context, predicted: Predicted) -> npt.NDArray[Any]:
    """Return the project's metric on bootstrap resamples of the validation rows, the same ones for every candidate."""
    task = context.project.task
    blocks = context.validation.blocks(context.project.training.resample_by)
    return resampled_scores(
        task.metric,
        task.type,
        context.validation.labels,
        predicted.predictions,
        predicted.probabilities,
        predicted.classes,
        blocks=blocks,
        weights=draw_weights(blocks, seed=context.seed, rounds=RESAMPLES),
    )
