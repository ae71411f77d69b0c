"""A project's model.py competes like the others; its code goes with the bundle and runs only where the project has it."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passerelle.domain.candidates.frame import typed_frame
from passerelle.domain.project.metric_names import OWN
from passerelle.domain.requests.hosting import HostingPlace, deployment
from passerelle.errors import BundleError, InputError
from tests.unit.training.fitting import make_context, make_project, make_rows
from training.bundle import load_bundle
from training.bundle.own_code import import_own, module_name
from training.project_archive import read_code
from training.serve.scorer import Scorer
from training.serve.settings import read_settings
from training.train.candidate import train_candidate, write_artifacts
from training.train.context import Context

SOURCE = b'''
"""The share of each plan, moved by the dose."""
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class _Shares(BaseEstimator):
    def __init__(self, slope=0.1):
        self.slope = slope

    def fit(self, X, y, sample_weight=None):
        self.names_ = list(X.columns)
        self.middle_ = float(np.nanmedian(X["dose"]))
        self.classes_ = np.unique(y)
        self.mean_ = float(np.mean(y)) if np.issubdtype(np.asarray(y).dtype, np.number) else 0.0
        return self

    def _moved(self, X):
        return self.slope * (X["dose"].fillna(self.middle_).to_numpy() - self.middle_)


class Classifier(ClassifierMixin, _Shares):
    def predict_proba(self, X):
        last = 1 / (1 + np.exp(2 - 10 * self._moved(X)))
        rest = (1 - last) / (len(self.classes_) - 1)
        return np.column_stack([*[rest] * (len(self.classes_) - 1), last])


class Regressor(RegressorMixin, _Shares):
    def predict(self, X):
        return self.mean_ + 8 * self._moved(X)


def make_model(*, task, columns, seed, threads):
    assert columns["dose"] == "number" and columns["plan"] == "category"
    return Regressor() if task == "regression" else Classifier()
'''


def own(task: str, source: bytes = SOURCE, **training: object) -> Context:
    return replace(make_context(make_project(task, model="model.py", **training), 700), own=source)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_it_is_scored_bundled_with_its_code_and_served(tmp_path: Path, task: str) -> None:
    context = own(task)
    assert context.project.candidates[-1] == OWN
    bundle, result, _ = train_candidate(OWN, 6, context, tmp_path / "b")
    assert result.validation_metrics["r2" if task == "regression" else "roc_auc"] > 0.5
    assert (tmp_path / "b" / "model.py").read_bytes() == SOURCE
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["files"]["model.py"] == hashlib.sha256(SOURCE).hexdigest()
    columns, _ = make_rows(task, 20, seed=3)
    frame = typed_frame(columns, context.signature.inputs)
    wanted = bundle.pipeline.predict(frame) if task == "regression" else bundle.pipeline.predict_proba(frame)
    del sys.modules[module_name(SOURCE)]
    scorer = Scorer(load_bundle(tmp_path / "b", plan_suffices=True, project_code=True))
    scorer.prove()
    given = scorer.score(columns)["predictions" if task == "regression" else "probabilities"]
    np.testing.assert_array_equal(np.asarray(given), wanted)


def test_its_mlflow_folder_holds_its_code_under_the_name_that_its_types_have(tmp_path: Path) -> None:
    context = own("binary", calibration="sigmoid")
    bundle, result, predicted = train_candidate(OWN, 6, context, tmp_path / "b")
    write_artifacts(bundle, result, predicted, context, tmp_path)
    (code,) = (tmp_path / result.directory / "model").rglob(f"{module_name(SOURCE)}.py")
    assert code.read_bytes() == SOURCE


def test_a_bundle_that_brings_code_is_refused_where_the_project_has_none(tmp_path: Path) -> None:
    marked = SOURCE + f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n".encode()
    train_candidate(OWN, 6, own("binary", marked), tmp_path / "b")
    (tmp_path / "ran").unlink()
    del sys.modules[module_name(marked)]
    with pytest.raises(BundleError, match="the deployed project declares none"):
        load_bundle(tmp_path / "b")
    assert not (tmp_path / "ran").exists()
    assert not read_settings({}).project_code
    assert read_settings({"PASSERELLE_PROJECT_CODE": "allowed"}).project_code


def test_altered_code_is_never_run(tmp_path: Path) -> None:
    train_candidate(OWN, 6, own("binary"), tmp_path)
    (tmp_path / "model.py").write_bytes(SOURCE + b"\nraise SystemExit\n")
    with pytest.raises(BundleError, match=r"model\.py: its SHA-256 is not the manifest's"):
        load_bundle(tmp_path, project_code=True)


def test_only_a_project_with_a_model_of_its_own_has_its_server_run_code() -> None:
    place = HostingPlace(environment="laptop", zones={"predictions": "p"}, image_uri="i", role_arn="r", kms_key_arn="k")
    for model, expected in ((None, None), ("model.py", "allowed")):
        project = make_project("binary", model=model)
        planned = deployment(place, project, run_id="r1", attempt=1, model_data_url="s3://m", model_version="1")
        environment = planned.model["PrimaryContainer"]["Environment"]
        assert environment.get("PASSERELLE_PROJECT_CODE") == expected


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"x = 1", r"model\.py: there is no function make_model"),
        (b"def make_model(**given):\n    return 1", "has no fit and no predict_proba"),
        (b"def make_model(**given):\n    raise RuntimeError('no licence')", "no licence"),
    ],
)
def test_what_is_wrong_with_it_is_told_and_the_others_go_on(tmp_path: Path, source: bytes, says: str) -> None:
    with pytest.raises((InputError, RuntimeError), match=says):
        train_candidate(OWN, 6, own("binary", source), tmp_path)


def test_two_versions_live_side_by_side() -> None:
    first, second = import_own(SOURCE), import_own(SOURCE + b"\nVERSION = 2\n")
    assert first is not second
    assert import_own(SOURCE) is first


def test_a_file_that_was_not_deployed_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("project.yaml", "")
        archive.writestr("model.py", SOURCE)
    assert read_code(tmp_path, "model.py") == SOURCE
    with pytest.raises(InputError, match=r"training\.model is other\.py, and there is no such file"):
        read_code(tmp_path, "other.py")
