"""MLflow's own evaluation of a registered model, with our metrics and figures beside its own.

It needs the whole of MLflow: `mlflow.models.evaluate` is no part of mlflow-skinny, which jobs and functions have. What
a run logs of itself is written by the container, with the same metrics and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from passerelle.contracts.bundle import TaskType
from passerelle.domain.extra_metrics import extra_metrics
from passerelle.domain.project.model import Value

#: (folder, task, labels, predictions, probabilities, classes, title) -> file names; `training.figures.draw.draw_all`.
Draw = Callable[..., list[str]]


def evaluate_model(
    model_uri: str,
    rows: pd.DataFrame,
    labels: Any,
    *,
    task: TaskType,
    value: Value | None = None,
    threshold: float | None = None,
    draw: Draw | None = None,
) -> Any:
    """Evaluate a model in the active MLflow run; returns MLflow's EvaluationResult.

    Parameters
    ----------
    model_uri : such as "models:/flights@champion".
    rows, labels : the model's inputs as its signature has them, and what it should have said; 0 and 1 for binary.
    value, threshold : of the project, for the money that decisions make.
    draw : draws the figures.
    """
    import mlflow.models
    import mlflow.sklearn

    model, labels = mlflow.sklearn.load_model(model_uri), np.asarray(labels)
    shares = np.asarray(model.predict_proba(rows), dtype=np.float64) if task != "regression" else None
    found = _extra(task, labels, shares, value, threshold)
    data = rows.assign(__label=labels)
    config = {"log_model_explainability": False}
    evaluate: Any = mlflow.models.evaluate
    return evaluate(
        model_uri,
        data,
        targets="__label",
        model_type="regressor" if task == "regression" else "classifier",
        extra_metrics=[_metric(name, figure) for name, figure in found.items()],
        custom_artifacts=[_figures(draw, model, rows, labels, shares, task)] if draw else None,
        evaluator_config={"default": config | ({"pos_label": 1} if task == "binary" else {})},
    )


def _extra(task: str, labels: Any, shares: Any, value: Value | None, threshold: float | None) -> Mapping[str, float]:
    if task == "binary":
        return extra_metrics(labels, shares[:, 1], value=value, threshold=threshold)
    return {}


def _metric(name: str, figure: float) -> Any:
    """Return a metric of MLflow: it gives classes to those that are asked, ours need probabilities."""
    from mlflow import metrics as measures

    make_metric: Any = measures.make_metric

    def asked(predictions: Any, targets: Any, metrics: Any) -> Any:
        return measures.MetricValue(aggregate_results={name: figure})

    return make_metric(eval_fn=asked, greater_is_better=name != "calibration_error", name=name)


def _figures(draw: Draw, model: Any, rows: pd.DataFrame, labels: Any, shares: Any, task: str) -> Callable[..., Any]:
    def figures(eval_df: Any, builtin_metrics: Any, artifacts_dir: str) -> dict[str, Path]:
        folder = Path(artifacts_dir)
        names = draw(
            folder,
            task=task,
            labels=labels,
            predictions=np.asarray(model.predict(rows)),
            probabilities=shares,
            classes=np.asarray(getattr(model, "classes_", [])),
            title="evaluation",
        )
        return {Path(name).stem: folder / name for name in names}

    return figures
