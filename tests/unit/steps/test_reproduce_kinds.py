"""What is trained again from its record: a tuned candidate, a project's own model.py, and what a GPU has fitted."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from cli.commands.reproduce import _conclude, reproduce
from cli.failures import NOT_REPRODUCED, exit_code
from cli.session import Session
from passerelle.aws.deployed import DeployedPlatform
from passerelle.contracts.comparison import Comparison
from passerelle.contracts.container import TrainResult
from tests.unit.training.test_train import job
from training.bundle import load_bundle
from training.compare import OTHER_DEVICE, compare
from training.train.main import main

from .test_reproduce import Trained
from .world import Aws

#: Wins whatever the others do, so that it is what the run chose; its numbers depend on the seed.
OWN = b"""
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def make_model(*, task, columns, seed, threads):
    texts = [name for name, kind in columns.items() if kind == "category"]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), ("passthrough", ["visits"]))
    return make_pipeline(encode, ExtraTreesClassifier(20, max_depth=4, random_state=seed, n_jobs=threads))
"""


def trained_job(folder: Path, candidates: list[str], **training: Any) -> tuple[Path, TrainResult]:
    """Run a training job with other `training`; its model.py is OWN."""
    base = job(folder, "binary", candidates)
    archive = base / "input" / "data" / "project" / "p.zip"
    document = yaml.safe_load(zipfile.ZipFile(archive).read("project.yaml"))
    document["training"] |= training
    with zipfile.ZipFile(archive, "w") as changed:
        changed.writestr("project.yaml", yaml.safe_dump(document))
        changed.writestr("model.py", OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert main() == 0
    return base, TrainResult.model_validate_json((base / "output" / "data" / "result.json").read_text())


def reproduced(aws: Aws, base: Path, monkeypatch: pytest.MonkeyPatch, chosen: str) -> dict[str, Any]:
    """Run the command as a user does."""
    monkeypatch.setattr(Session, "platform", DeployedPlatform(aws.environment, boto3.Session()))
    trained = Trained(aws, base)
    aws.table.save(trained.record.model_copy(update={"chosen": chosen}))
    done = CliRunner().invoke(reproduce, ["r1"], obj=Session(as_json=True))
    assert done.exit_code == 0, (done.output, done.exception)
    return dict(json.loads(done.stdout))


def test_a_tuned_candidate_is_trained_again_with_the_parameters_that_the_search_found(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, result = trained_job(
        tmp_path,
        ["baseline", "xgboost"],
        tuning={"trials": 3, "minutes": 2, "candidates": ["xgboost"]},
    )
    tuned = next(item for item in result.candidates if item.name == "xgboost-tuned")
    assert tuned.overrides
    _choose(base, result, "xgboost-tuned")
    answer = reproduced(aws, base, monkeypatch, "xgboost-tuned")
    assert (answer["candidate"], answer["equal"], answer["reproduced"]) == ("xgboost-tuned", True, True)


def test_a_projects_own_model_is_trained_again_from_the_code_that_was_deployed(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, result = trained_job(tmp_path, ["baseline"], model="model.py")
    assert result.chosen == "own", result.why
    answer = reproduced(aws, base, monkeypatch, "own")
    assert (answer["candidate"], answer["equal"], answer["tolerance"]) == ("own", True, 0.0)


def _choose(base: Path, result: TrainResult, name: str) -> None:
    """Let a job's run have chosen this candidate, whichever was as good."""
    shutil.rmtree(base / "model")
    shutil.copytree(base / "checkpoints" / name / "bundle", base / "model")
    path = base / "output" / "data" / "result.json"
    path.write_text(result.model_copy(update={"chosen": name}).model_dump_json())


def test_a_model_of_a_gpu_is_trained_again_on_a_processor_and_the_device_is_named(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, result = trained_job(tmp_path, ["baseline", "xgboost"])
    assert result.chosen == "xgboost", result.why
    _say_cuda(base / "model")
    answer = reproduced(aws, base, monkeypatch, "xgboost")
    assert {"what": "device", "then": "cuda", "here": "cpu"} in answer["differences"]
    assert (answer["equal"], answer["tolerance"], answer["reproduced"]) == (True, OTHER_DEVICE, True)


def _say_cuda(folder: Path) -> None:
    """Let a bundle say that a GPU fitted it, sealed anew."""
    metadata, manifest = (json.loads((folder / name).read_text()) for name in ("metadata.json", "manifest.json"))
    metadata["machine"]["device"] = "cuda"
    (folder / "metadata.json").write_text(json.dumps(metadata))
    manifest["files"]["metadata.json"] = hashlib.sha256((folder / "metadata.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_difference_is_the_same_model_only_where_a_gpu_fitted_it_and_within_the_tolerance(tmp_path: Path) -> None:
    base, _ = trained_job(tmp_path, ["baseline"])
    bundle = load_bundle(base / "model")
    for device, gap, holds in (("cpu", 1e-9, False), ("cuda", 0.009, True), ("cuda", 0.02, False)):
        machine = {**bundle.metadata.machine, "device": device}
        first = replace(bundle, metadata=bundle.metadata.replaced(machine=machine))
        moved = replace(bundle, pipeline=_Moved(bundle.pipeline, gap))
        found = compare(first, moved, base / "input" / "data" / "test")
        assert (found.equal, found.reproduced) == (False, holds)
        assert found.largest == pytest.approx(gap)


class _Moved:
    """A pipeline whose shares of the second class are higher."""

    def __init__(self, pipeline: Any, gap: float) -> None:
        self._pipeline, self._gap, self.classes_ = pipeline, gap, pipeline.classes_

    def predict_proba(self, frame: Any) -> Any:
        return self._pipeline.predict_proba(frame) + np.asarray([-self._gap, self._gap])

    def predict(self, frame: Any) -> Any:
        return self._pipeline.predict(frame)


def test_beyond_the_tolerance_the_command_says_that_it_is_another_model() -> None:
    found = Comparison(
        rows=9, output="probabilities", equal=False, different=3, decisions=0, largest=0.004, tolerance=0.01
    )
    _conclude(Session(), (), found)
    with pytest.raises(Exception, match=r"by at most 0\.02") as failure:
        _conclude(Session(), (), found.model_copy(update={"largest": 0.02}))
    assert exit_code(failure.value) == NOT_REPRODUCED
