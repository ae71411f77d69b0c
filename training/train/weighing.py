"""Fit a pipeline with the project's weights, and calibrate it on train rows that it has not seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from passerelle.domain.calibration import Method
from passerelle.domain.candidates.calibrated import CalibratedClassifier
from passerelle.domain.project.metric_names import RULE
from passerelle.domain.weights import row_weights
from training.train.context import Context
from training.train.data import Rows
from training.train.fit_checkpoint import FitCheckpoint, fit_resumably
from training.train.stages import Weights, fit_whole

#: Candidates that say what there was, or what somebody declared: nothing of them is weighed or calibrated.
PLAIN: Final = ("baseline", RULE)
#: The newest share of train that a calibrated model is not fitted on.
HELD_OUT: Final = 0.2
MIN_ROWS: Final = 100
#: Below about 1,000 rows isotonic regression overfits (scikit-learn user guide, 1.16.3).
MIN_ISOTONIC_ROWS: Final = 1_000


def fit_pipeline(
    pipeline: Pipeline, name: str, context: Context, checkpoint: FitCheckpoint | None = None
) -> tuple[str, ...]:
    """Fit a pipeline in place; returns what was done otherwise than the project asks, and why."""
    method = _method(name, context)
    if method is None:
        _fit(pipeline, name, context, context.train, checkpoint)
        return ()
    held_out = int(len(context.train.labels) * HELD_OUT)
    if held_out < MIN_ROWS:
        _fit(pipeline, name, context, context.train, checkpoint)
        return (f"Not calibrated: train has {len(context.train.labels):,} rows, and a fifth of them is too few.",)
    # Rows come oldest first: what is held out is what lies nearest to the rows to predict.
    places = np.arange(len(context.train.labels))
    _fit(pipeline, name, context, context.train.take(places[:-held_out]), checkpoint)
    return _calibrate(pipeline, context.train.take(places[-held_out:]), method)


def _method(name: str, context: Context) -> Method | None:
    asked = context.project.training.calibration
    if context.project.task.type == "regression" or name in PLAIN or asked == "none":
        return None
    if asked == "auto":
        return "sigmoid" if context.project.training.class_weight else None
    return asked


def fit_weights(name: str, context: Context, rows: Rows) -> Weights:
    """Return how much each row counts in the fit of a candidate, None where all count the same."""
    return None if name in PLAIN else row_weights(rows.labels, context.project.training.class_weight, rows.weights)


def _fit(pipeline: Pipeline, name: str, context: Context, rows: Rows, checkpoint: FitCheckpoint | None) -> None:
    weights = fit_weights(name, context, rows)
    if weights is not None and not weights.all():
        rows, weights = rows.take(weights > 0), weights[weights > 0]
    rows = replace(rows, frame=_with_something(rows.frame))
    if checkpoint:
        fit_resumably(pipeline, rows.frame, rows.labels, checkpoint, weights=weights)
    else:
        fit_whole(pipeline, rows.frame, rows.labels, weights=weights)


def _with_something(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in which no column of numbers is empty: scikit-learn's histograms cannot bin one.

    Preparation drops what is empty in all of train; in part of it a rare column may be. A constant is split by no tree.
    """
    empty = [name for name in frame.columns if frame[name].dtype.kind == "f" and frame[name].isna().all()]
    return frame.assign(**dict.fromkeys(empty, 0.0)) if empty else frame


def _calibrate(pipeline: Pipeline, rows: Rows, method: Method) -> tuple[str, ...]:
    """Put maps over the fitted model; without the classes' weights, which the maps are to undo."""
    notes = []
    if method == "isotonic" and len(rows.labels) < MIN_ISOTONIC_ROWS:
        notes.append(f"Calibrated by a sigmoid: {len(rows.labels):,} rows are too few for isotonic regression.")
        method = "sigmoid"
    step, model = pipeline.steps[-1]
    matrix = pipeline[:-1].transform(rows.frame)
    weights = row_weights(rows.labels, None, rows.weights)
    try:
        pipeline.steps[-1] = (step, CalibratedClassifier(model, method).fit(matrix, rows.labels, weights))
    except ValueError as error:
        notes.append(f"Not calibrated: {error}.")
    return tuple(notes)
