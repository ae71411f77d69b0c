"""What `evaluate` keeps of the model's errors: by it, and without labels, later rows say how good the model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.container import PERFORMANCE_FILE
from passerelle.domain.drift.estimated import estimate, expect
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.metrics import score_all
from tests.unit.training.test_evaluate import evaluate, evaluation
from tests.unit.training.test_train import job, train
from training.bundle import load_bundle
from training.train.data import read_rows
from training.train.predict import predict

CANDIDATE = {"binary": "logistic", "regression": "linear", "multiclass": "logistic"}


def _evaluated(tmp_path: Path, task: str, rows: int) -> tuple[Path, Path, str]:
    """Train and evaluate; returns the training job's folder, the results' and what was printed."""
    base = job(tmp_path, task, ["baseline", CANDIDATE[task]], rows=rows)
    train(base)
    folder = evaluation(base, tmp_path / "evaluate")
    _, printed = evaluate(folder)
    return base, folder / "processing" / "output" / "result", printed


@pytest.mark.parametrize(("task", "metric"), [("binary", "roc_auc"), ("regression", "mae"), ("multiclass", "macro_f1")])
def test_rows_like_those_of_the_test_period_are_estimated_near_what_their_labels_give(
    tmp_path: Path, task: Any, metric: str
) -> None:
    base, results, _ = _evaluated(tmp_path, task, 3_000)
    reference = PerformanceReference.from_json((results / PERFORMANCE_FILE).read_bytes())
    bundle = load_bundle(base / "model")
    later = read_rows(base / "input" / "data" / "validation", bundle.signature.inputs, task)
    predicted = predict(bundle.pipeline, later.frame, task)
    shares = predicted.probabilities
    answers = predicted.predictions if shares is None else shares[:, 1] if task == "binary" else shares
    columns = {name: later.frame[name].to_numpy() for name in ("plan", "visits")}
    found = estimate(reference, expect(reference, answers, columns))[metric]
    true = score_all(task, later.labels, predicted.predictions, shares, predicted.classes)[metric]
    assert found.lower is not None
    assert found.upper is not None
    width = found.upper - found.lower
    # 95 of 100 intervals hold the truth; this one, which is always the same, at least nearly does.
    assert found.lower - width / 2 < true < found.upper + width / 2
    assert np.isfinite(reference.baseline[metric]).all()


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_what_cannot_be_estimated_is_said_and_costs_nothing_else(tmp_path: Path, task: str) -> None:
    _, results, printed = _evaluated(tmp_path, task, 500)
    assert not (results / PERFORMANCE_FILE).exists()
    assert (results / "result.json").is_file()
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    (said,) = [line for line in lines if line["event"] == "not_estimated"]
    assert "too few" in said["why"]


def test_of_several_classes_the_reference_knows_them_by_the_names_that_labels_have(tmp_path: Path) -> None:
    base, results, _ = _evaluated(tmp_path, "multiclass", 1_500)
    classes = PerformanceReference.from_json((results / PERFORMANCE_FILE).read_bytes()).layout.classes
    assert classes is not None
    assert classes.names == load_bundle(base / "model").signature.classes
    assert classes.places([*classes.names, "never heard of"]).tolist() == [*range(len(classes.names)), -1]
