"""MLflow's own evaluation of a model that we saved: its metrics and plots, and ours beside them."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest

from passerelle.aws.mlflow_evaluation import evaluate_model
from passerelle.aws.mlflow_models import save_model
from passerelle.contracts.bundle import TaskType
from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.extra_metrics import calibration_error, gain_at
from passerelle.domain.project.model import Value
from tests.serving import INPUTS, make_bundle, rows_of
from training.bundle.trusted import TRUSTED_TYPES
from training.figures.draw import draw_all

VALUE = Value(true_positive=40, false_positive=-12, false_negative=-40)


@pytest.mark.parametrize(
    ("task", "candidate", "figures", "metrics"),
    [
        (
            "binary",
            "logistic",
            {"roc", "precision_recall", "calibration", "gain"},
            {"calibration_error", "gain_at_10_percent", "value", "roc_auc"},
        ),
        ("regression", "linear", {"predicted_actual", "residuals"}, {"root_mean_squared_error"}),
    ],
)
def test_mlflow_evaluates_our_model_with_our_metrics_and_figures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: TaskType,
    candidate: str,
    figures: set[str],
    metrics: set[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    bundle = make_bundle(task, tmp_path / "bundle", candidate=candidate)
    frame = typed_frame(rows_of(120, seed=2), INPUTS).dropna().reset_index(drop=True)
    save_model(tmp_path / "model", bundle.pipeline, bundle.signature, frame.head(3), trusted=TRUSTED_TYPES)
    labels = (frame["hour"] > 11).to_numpy().astype(np.int64) if task == "binary" else frame["hour"].to_numpy()
    with mlflow.start_run() as run:
        result = evaluate_model(
            str(tmp_path / "model"), frame, labels, task=task, value=VALUE, threshold=0.4, draw=draw_all
        )
    assert metrics <= result.metrics.keys()
    assert figures <= result.artifacts.keys()
    logged = mlflow.MlflowClient().get_run(run.info.run_id).data.metrics
    assert metrics <= logged.keys()
    if task == "binary":
        positive = bundle.pipeline.predict_proba(frame)[:, 1]
        assert logged["calibration_error"] == pytest.approx(calibration_error(labels, positive))
        assert {"roc_curve_plot", "precision_recall_curve_plot"} <= result.artifacts.keys()


def test_calibration_error_and_gain_of_known_shares() -> None:
    labels = np.asarray([0, 0, 0, 1, 0, 1, 1, 1, 1, 1])
    perfect = labels.astype(float)
    assert calibration_error(labels, perfect) == 0
    assert calibration_error(labels, np.full(10, 0.6), bins=1) == pytest.approx(0)
    assert calibration_error(labels, np.full(10, 0.9), bins=1) == pytest.approx(0.3)
    assert gain_at(labels, np.linspace(0, 1, 10), 0.2) == pytest.approx(2 / 6)
    assert gain_at(labels, -np.linspace(0, 1, 10), 0.3) == 0
