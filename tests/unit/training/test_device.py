"""The GPU is used where there is one that XGBoost can use; one that is paid for and not used is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.pipeline import Pipeline

from bench import fit_once
from bench.flights_rows import write_prepared_flights
from passerelle.contracts.container import Problem
from passerelle.contracts.naming import BASE_DIR_VARIABLE
from passerelle.domain import machine
from passerelle.domain.candidates.estimators import LabelledClassifier
from training.train.machine import device, leave_gpu


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(BASE_DIR_VARIABLE, str(tmp_path))
    return tmp_path


def on(job: Path, instance_type: str, *, gpu: bool) -> tuple[str, tuple[Problem, ...]]:
    """Ask for the device of a job on an instance."""
    config = job / "input" / "config" / "resourceconfig.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"current_instance_type": instance_type}))
    found = job / "nvidia0"
    if gpu:
        found.touch()
    return device(found)


def test_a_job_without_a_gpu_uses_processors_and_has_nothing_to_tell(job: Path) -> None:
    assert on(job, "ml.m5.xlarge", gpu=False) == ("cpu", ())
    assert device(job / "nvidia0") == ("cpu", ())


def test_on_a_machine_without_the_gpu_of_its_instance_type_the_processor_is_used_and_that_is_told(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, (problem,) = on(job, "ml.g5.xlarge", gpu=False)
    assert (found, problem.code, problem.severity) == ("cpu", "gpu_not_used", "warning")
    assert problem.message == "ml.g5.xlarge has a GPU, this machine has none"
    assert json.loads(capsys.readouterr().out) == {"event": "gpu_not_used", "why": problem.message}


def test_a_gpu_beside_xgboost_for_processors_is_told(job: Path) -> None:
    found, (problem,) = on(job, "ml.g5.xlarge", gpu=True)
    assert (found, problem.message) == ("cpu", "this XGBoost is built for processors only (xgboost-cpu)")


def test_a_gpu_that_xgboost_silently_leaves_for_the_processor_is_told(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This build does what the CUDA build does where the driver is too old: it warns, and fits on the processor.
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True, "CUDA_VERSION": [12, 9]})
    found, (problem,) = on(job, "ml.g5.xlarge", gpu=True)
    assert found == "cpu"
    assert "built with CUDA 12.9, finds none that it can use" in problem.message


@pytest.mark.parametrize(("instance_type", "told"), [("ml.g5.xlarge", 0), ("ml.g5.12xlarge", 1)])
def test_a_gpu_that_works_is_used_and_those_beside_it_are_told(
    job: Path, monkeypatch: pytest.MonkeyPatch, instance_type: str, told: int
) -> None:
    monkeypatch.setattr(machine, "gpu_problem", lambda: None)
    found, problems = on(job, instance_type, gpu=True)
    assert found == "cuda"
    assert len(problems) == told
    assert all("has several GPUs, XGBoost fits on one" in problem.message for problem in problems)


class _OnGpu:
    """Stands for a booster that was fitted on a GPU: this machine has none."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self.booster, self.set = booster, {"device": "cuda:0"}

    def set_param(self, params: dict[str, Any]) -> None:
        self.set |= params
        self.booster.set_param(params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.booster, name)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_fitted_on_a_gpu_answers_on_processors_from_then_on(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows, labels = random.random((60, 2)), random.integers(0, classes, 60)
    model: Any = xgboost.XGBClassifier(n_estimators=2, device="cuda", tree_method="hist")
    model = LabelledClassifier(model) if classes > 2 else model
    with pytest.warns(UserWarning, match="Device is changed"):
        model.fit(rows, labels)
    inner = getattr(model, "estimator_", model)
    booster = _OnGpu(inner.get_booster())
    monkeypatch.setattr(inner, "get_booster", lambda: booster)
    leave_gpu(Pipeline([("model", model)]))
    assert inner.get_params()["device"] == "cpu"
    assert booster.set["device"] == "cpu"


def test_a_model_of_another_kind_is_left_alone() -> None:
    leave_gpu(Pipeline([("model", "passthrough")]))


def test_a_measured_fit_that_did_not_run_on_the_gpu_is_none(tmp_path: Path) -> None:
    folder = write_prepared_flights(tmp_path / "rows", 500)
    with (
        pytest.warns(UserWarning, match="Device is changed"),
        pytest.raises(SystemExit, match="did not run on the GPU: this XGBoost is built for processors only"),
    ):
        fit_once.main(str(folder), "xgboost", "cuda", "1")
