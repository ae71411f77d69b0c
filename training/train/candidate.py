"""Train one candidate: fit, score, bundle, figures, MLflow model folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from passerelle.aws.mlflow_models import save_model
from passerelle.contracts.bundle import BundleMetadata
from passerelle.contracts.container import CandidateResult
from passerelle.domain.candidates.calibrated import CalibratedClassifier, innermost
from passerelle.domain.candidates.frame import plain_value
from passerelle.domain.candidates.monotone import broken_constraint
from passerelle.domain.decision import best_threshold
from passerelle.domain.machine import machine, versions
from passerelle.domain.metrics import score_all
from passerelle.domain.prior import label_prior
from passerelle.domain.project.metric_names import OWN
from passerelle.errors import PasserelleError
from training.bundle import Bundle, write_bundle
from training.bundle.own_code import own_file, own_types
from training.bundle.prove import Holdout
from training.bundle.trusted import TRUSTED_TYPES
from training.explain.reference import choose_background
from training.figures.draw import draw_all
from training.train.checkpoint import Checkpoints
from training.train.context import Context
from training.train.fit import DEFAULTS, fit_candidate, primary_resamples
from training.train.fit_checkpoint import FitCheckpoint
from training.train.predict import Predicted, predict
from training.train.reference import answers_reference, reference_of, seen_and_sent

EXAMPLE_ROWS: Final = 5


class LeftOutError(PasserelleError):
    """A candidate cannot keep what the project asks of a model."""


def train_candidate(
    name: str,
    complexity: int,
    context: Context,
    folder: Path,
    *,
    label: str | None = None,
    params: Mapping[str, Any] = DEFAULTS,
    checkpoints: Checkpoints | None = None,
) -> tuple[Bundle, CandidateResult, Predicted]:
    """Fit one candidate and write its bundle to `folder`; returns what it says of validation, too.

    `label` names one of which there are several.

    Raises LeftOutError when the fitted model breaks a monotone constraint.
    """
    task = context.project.task.type
    label = label or name
    checkpoint = _fit_checkpoint(checkpoints, name, label, context, params) if checkpoints else None
    fitted = fit_candidate(name, context, params, checkpoint=checkpoint)
    pipeline, validation = fitted.pipeline, fitted.validation
    fitted_at = time.monotonic()
    _need_constraints(pipeline, context)
    _stop_using_threads(pipeline)
    scores = _scores(task, context.validation.labels, validation)
    metadata = _metadata(label, context, pipeline, validation, scores)
    bundle = write_bundle(
        folder,
        pipeline=pipeline,
        signature=context.signature,
        example=make_example(pipeline, context),
        profile=_profile(context, validation, metadata.threshold),
        metadata=metadata,
        background=choose_background(context.train.frame, context.seed),
        holdout=Holdout(context.validation.frame, validation.answers),
        own_code=context.own if name == OWN else None,
        features=context.features if context.signature.derived else None,
    )
    resamples = primary_resamples(context, validation)
    result = CandidateResult(
        name=label,
        kind=name,
        overrides=dict(params),
        status="trained",
        complexity=complexity,
        seconds=fitted.seconds + time.monotonic() - fitted_at,
        params=metadata.params,
        train_metrics=_train_scores(pipeline, context),
        validation_metrics=scores,
        primary_standard_error=_standard_error(resamples),
        features=tuple(column.name for column in context.signature.model_inputs),
        resamples=tuple(None if value != value else float(value) for value in resamples),
        directory=f"candidates/{label}",
        notes=fitted.notes,
    )
    return bundle, result, validation


def _profile(context: Context, validation: Predicted, threshold: float | None) -> dict[str, Any]:
    """Return what the bundle's profile.json holds."""
    task, schedule = context.project.task.type, context.project.monitoring.schedule
    data = context.reference or reference_of(context.project, context.signature, context.train)
    inputs, rows = data.only({column.name for column in seen_and_sent(context.signature)}), context.validation
    segments = inputs.layout.segments
    dividing = data.dividing(rows, segments)
    answers = answers_reference(task, validation, threshold, rows.times, schedule, segments, dividing)
    whole = inputs.joined(answers)
    return whole.to_dict() | {"label": label_prior(context.train.labels, task)}


def _need_constraints(pipeline: Pipeline, context: Context) -> None:
    def answer(frame: pd.DataFrame) -> npt.NDArray[Any]:
        predicted = predict(pipeline, frame, context.project.task.type)
        return predicted.predictions if predicted.probabilities is None else predicted.probabilities[:, 1]

    monotone = context.project.training.monotone
    if broken := broken_constraint(answer, context.train.frame, monotone, seed=context.seed):
        raise LeftOutError(f"It cannot keep training.monotone: {broken}.")


def _fit_checkpoint(
    checkpoints: Checkpoints, name: str, label: str, context: Context, params: Mapping[str, Any]
) -> FitCheckpoint:
    return checkpoints.fit(
        label,
        every_seconds=context.project.training.checkpoint_seconds,
        candidate=name,
        inputs=[column.name for column in context.signature.model_inputs],
        params=dict(params),
        device=context.device,
    )


def _stop_using_threads(pipeline: Pipeline) -> None:
    """A served model answers one row at a time: threads would only add latency.

    A forest's threads add up the trees as they come, so that its last bits would differ from answer to answer, too.
    """
    model = innermost(pipeline.named_steps["model"])
    if hasattr(model, "get_params"):
        names = [name for name in model.get_params() if name == "n_jobs" or name.endswith("__n_jobs")]
        model.set_params(**dict.fromkeys(names, 1))


def _scores(task: str, labels: Any, predicted: Predicted) -> dict[str, float]:
    return score_all(task, labels, predicted.predictions, predicted.probabilities, predicted.classes)


def _train_scores(pipeline: Pipeline, context: Context) -> dict[str, float]:
    """Score on at most 20,000 rows of train: enough to see overfitting."""
    rows = slice(None, None, max(1, len(context.train.labels) // 20_000))
    predicted = predict(pipeline, context.train.frame.iloc[rows], context.project.task.type)
    return _scores(context.project.task.type, context.train.labels[rows], predicted)


def _standard_error(resamples: npt.NDArray[Any]) -> float | None:
    known = resamples[np.isfinite(resamples)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None


def _metadata(
    name: str, context: Context, pipeline: Pipeline, validation: Predicted, scores: dict[str, float]
) -> BundleMetadata:
    return BundleMetadata(
        project=context.project.name,
        run_id=context.run_id,
        candidate=name,
        dataset_id=context.dataset_id,
        contract_hash=context.contract_hash,
        git_sha=context.git_sha,
        lock_hash=context.lock_hash,
        created_at=context.created_at,
        seed=context.seed,
        threshold=_threshold(context, validation),
        metrics=scores,
        params=_plain_params(pipeline),
        versions=versions(),
        machine=machine(context.threads, context.device),
    )


def _threshold(context: Context, validation: Predicted) -> float | None:
    task = context.project.task
    if task.type != "binary" or validation.probabilities is None:
        return None
    if task.decision.threshold != "auto":
        return float(task.decision.threshold)
    labels, positive = context.validation.labels, validation.probabilities[:, 1]
    return best_threshold(context.project.why.value, labels, positive, share=float(np.mean(context.train.labels == 1)))


def _plain_params(pipeline: Pipeline) -> dict[str, Any]:
    """Return the model's parameters that were set to something, as MLflow shows them."""
    outer = pipeline.named_steps["model"]
    model = innermost(outer)
    params = model.get_params() if hasattr(model, "get_params") else {}
    plain = {key: value for key, value in params.items() if isinstance(value, str | int | float | bool)}
    calibration = {"calibration": outer.method} if isinstance(outer, CalibratedClassifier) else {}
    known = {key: value for key, value in plain.items() if value == value}
    return {"model": type(model).__name__, **known, **calibration}


def make_example(pipeline: Pipeline, context: Context) -> dict[str, Any]:
    """Return a few real rows as a caller sends them, with the predictions that they must give."""
    predicted = predict(pipeline, context.validation.frame.head(EXAMPLE_ROWS), context.project.task.type)
    rows = context.validation.sent_frame.head(EXAMPLE_ROWS)
    data = [[plain_value(value) for value in row] for row in rows.itertuples(index=False, name=None)]
    columns = [str(name) for name in rows.columns]
    example: dict[str, Any] = {"dataframe_split": {"columns": columns, "data": data}}
    example["predictions"] = [plain_value(value) for value in predicted.predictions]
    if predicted.probabilities is not None:
        example["probabilities"] = [[float(share) for share in row] for row in predicted.probabilities]
    return example


def write_artifacts(
    bundle: Bundle, result: CandidateResult, predicted: Predicted, context: Context, output: Path
) -> None:
    """Write what MLflow is to show of a candidate: its model folder, figures of validation, parameters and metrics."""
    folder = output / result.directory
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)
    example = context.validation.frame.head(EXAMPLE_ROWS)
    own = context.own if result.kind == OWN else None
    with own_file(own) as code:
        trusted = (*TRUSTED_TYPES, *(own_types(bundle.pipeline, own) if own else ()))
        save_model(folder / "model", bundle.pipeline, bundle.signature, example, trusted=trusted, code=code)
    draw_all(
        folder / "plots",
        task=context.project.task.type,
        labels=context.validation.labels,
        predictions=predicted.predictions,
        probabilities=predicted.probabilities,
        classes=predicted.classes,
        title=f"{result.name}, validation",
    )
    (folder / "params.json").write_text(json.dumps(result.params, indent=2, default=str), encoding="utf-8")
    metrics = {"train": result.train_metrics, "validation": result.validation_metrics}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
