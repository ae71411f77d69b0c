"""Being stopped is never taken for a fault of the data; a checkpoint is used only where it fits."""

from __future__ import annotations

import json
import os
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.serving import make_bundle
from tests.unit.training.test_train import forecasts, job, start, train
from training.bundle import load_bundle
from training.stopping import Sigterm, StoppedError


def test_sigterm_while_a_model_is_loaded_is_not_taken_for_a_corrupt_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle("binary", tmp_path, candidate="baseline")
    before = signal.signal(signal.SIGTERM, Sigterm())

    def stopped(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("skops.io.load", stopped)
    try:
        with pytest.raises(StoppedError):
            load_bundle(tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_the_job_with_a_clear_line_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic", "random_forest", "xgboost"])
    process = start(base)
    assert process.stdout is not None
    for line in process.stdout:
        if "candidate_finished" in line:
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=110)
    assert process.returncode == 143
    assert "Stopped: SIGTERM" in output
    assert not (base / "output" / "failure").exists()
    result, _ = train(base)
    assert result.resumed


def test_killed_again_and_again_the_run_ends_as_if_it_had_never_been(tmp_path: Path) -> None:
    names = ["baseline", "logistic", "hist_gradient_boosting"]
    whole, cut = job(tmp_path / "whole", "multiclass", names), job(tmp_path / "cut", "multiclass", names)
    expected, _ = train(whole)
    for lines in (1, 2, 4):
        process = start(cut)
        assert process.stdout is not None
        for _, line in zip(range(lines), process.stdout, strict=False):
            assert line
        process.kill()
        process.communicate()
    result, _ = train(cut)
    assert (result.chosen, result.why) == (expected.chosen, expected.why)
    scores = [[item.validation_metrics for item in found.candidates] for found in (expected, result)]
    assert scores[0] == scores[1]
    np.testing.assert_array_equal(forecasts(cut).probabilities, forecasts(whole).probabilities)


@pytest.mark.parametrize("change", ["git_sha", "dataset_id", "metric"])
def test_a_checkpoint_of_other_code_data_or_question_is_not_used(tmp_path: Path, change: str) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic"])
    train(base)
    if change == "metric":
        archive = base / "input" / "data" / "project" / "p.zip"
        with zipfile.ZipFile(archive) as old:
            document = yaml.safe_load(old.read("project.yaml"))
        document["task"]["metric"] = "log_loss"
        with zipfile.ZipFile(archive, "w") as new:
            new.writestr("project.yaml", yaml.safe_dump(document))
    else:
        path = base / "input" / "config" / "hyperparameters.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {change: "another"}))
    result, output = train(base)
    assert result.resumed == ()
    assert "made by other code, or from other data" in output


def test_one_class_in_the_training_period_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic"])
    for path in (base / "input" / "data" / "train").rglob("*.parquet"):
        table = pq.read_table(path)
        index = table.column_names.index("__label")
        pq.write_table(table.set_column(index, "__label", pa.array([0] * table.num_rows, pa.int8())), path)
    process = start(base)
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert "only one class" in (base / "output" / "failure").read_text()
