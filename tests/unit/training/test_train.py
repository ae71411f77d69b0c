"""Candidates for every task, a parsimonious choice, the same result after an interruption, bundles without pickle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from passerelle.contracts.bundle import PROFILE_FILE
from passerelle.contracts.container import TrainResult
from passerelle.contracts.prediction import DECISION, SCORE
from passerelle.domain.drift.reference import Reference
from tests.e2e.projects import as_csv, make_rows, project_document
from tests.unit.training.test_prepare import run
from training.bundle import load_bundle
from training.train.predict import predict

ALL = {"binary": ["baseline", "logistic", "random_forest", "hist_gradient_boosting", "xgboost"],
       "regression": ["baseline", "linear", "random_forest", "hist_gradient_boosting", "xgboost"]}  # fmt: skip


def job(
    tmp_path: Path, task: str, candidates: list[str] | None = None, *, reduce: bool = False, rows: int = 500
) -> Path:
    """Lay out a training job's /opt/ml."""
    result, folders = run(tmp_path / "prepare", {"p-x/a.csv": as_csv(make_rows(rows))}, task)
    base = tmp_path / "ml"
    data = base / "input" / "data"
    data.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        (folders.curated / "datasets" / str(result.dataset_id) / part).rename(data / part)
    document = project_document("p-x", task)
    document["training"] |= {"candidates": candidates or ALL.get(task, ALL["binary"]), "reduce_features": reduce}
    (data / "project").mkdir()
    with zipfile.ZipFile(data / "project" / "p.zip", "w") as archive:
        archive.writestr("project.yaml", yaml.safe_dump(document))
    parameters = {"run_id": "r", "dataset_id": "d", "contract_hash": "c", "seed": "7"}
    (base / "input" / "config").mkdir()
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(parameters))
    return base


def start(base: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "training", "train"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(base: Path) -> tuple[TrainResult, str]:
    process = start(base)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return TrainResult.model_validate_json((base / "output" / "data" / "result.json").read_text()), output


def forecasts(base: Path) -> Any:
    bundle = load_bundle(base / "model")
    from training.train.data import read_rows

    rows = read_rows(base / "input" / "data" / "test", bundle.signature.inputs, bundle.signature.task)
    return predict(bundle.pipeline, rows.frame, bundle.signature.task)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_candidate_is_trained_and_the_chosen_bundle_answers_its_example(tmp_path: Path, task: str) -> None:
    base = job(tmp_path, task, reduce=True)
    result, output = train(base)
    assert {item.status for item in result.candidates} == {"trained"}, output
    assert [item.name for item in result.candidates][:5] == ALL.get(task, ALL["binary"])
    assert [len(point.features) for point in result.curve][:1] == [len(result.candidates[0].features)]
    assert any(point.as_good for point in result.curve)
    assert result.chosen != "baseline"
    bundle = load_bundle(base / "model")
    assert bundle.metadata.candidate == result.chosen
    reference = Reference.from_json((base / "model" / PROFILE_FILE).read_bytes())
    answers = {SCORE} if task == "regression" else {SCORE, DECISION}
    assert set(reference.layout.columns) == {column.name for column in bundle.signature.inputs} | answers
    chosen = next(item for item in result.candidates if item.name == result.chosen)
    assert tuple(column.name for column in bundle.signature.inputs) == chosen.features
    for item in result.candidates:
        folder = base / "output" / "data" / item.directory
        assert (folder / "model" / "MLmodel").is_file()
        assert list((folder / "plots").glob("*.png"))
    assert not [path for path in base.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert forecasts(base).predictions.shape[0] > 0


def test_a_run_that_was_killed_goes_on_from_its_checkpoints_to_the_same_result(tmp_path: Path) -> None:
    names = ["baseline", "logistic", "random_forest"]
    whole = job(tmp_path / "whole", "binary", names)
    train(whole)
    cut = job(tmp_path / "cut", "binary", names)
    process = start(cut)
    deadline = time.monotonic() + 300
    while not (cut / "checkpoints" / "logistic").is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    result, _ = train(cut)
    assert "baseline" in result.resumed
    assert "logistic" in result.resumed
    np.testing.assert_array_equal(forecasts(cut).probabilities, forecasts(whole).probabilities)


def test_a_corrupt_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic"])
    train(base)
    (base / "checkpoints" / "logistic" / "bundle" / "model.skops").write_bytes(b"not a model")
    result, output = train(base)
    assert result.resumed == ("baseline",)
    assert "Checkpoint of logistic is not used" in output
