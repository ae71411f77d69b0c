"""A candidate that is trained again alone, as its run recorded it, is the same to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from passerelle.contracts.container import REPRODUCE, THREADS, USAGE_FILE, CandidateResult, MachineUsage, TrainResult
from tests.unit.training.test_train import forecasts, job
from training.bundle import load_bundle
from training.train.main import main
from training.usage import MOST_SAMPLES, Sampler, read_machine


def _train(base: Path, monkeypatch: pytest.MonkeyPatch, only: CandidateResult | None = None) -> TrainResult:
    """Train here, or one candidate again with another number of threads."""
    path = base / "input" / "config" / "hyperparameters.json"
    if only:
        path.write_text(json.dumps(json.loads(path.read_text()) | {REPRODUCE: only.model_dump_json(), THREADS: "1"}))
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    assert main() == 0
    return TrainResult.model_validate_json((base / "output" / "data" / "result.json").read_text())


@pytest.mark.parametrize(("task", "kind"), [("binary", "xgboost"), ("regression", "hist_gradient_boosting")])
def test_a_candidate_is_the_same_to_the_last_bit_when_it_is_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, kind: str
) -> None:
    whole, alone = (job(tmp_path / name, task, ["baseline", kind]) for name in ("whole", "alone"))
    result = _train(whole, monkeypatch)
    chosen = next(item for item in result.candidates if item.name == kind)
    assert (result.chosen, chosen.kind) == (kind, kind)
    again = _train(alone, monkeypatch, chosen)
    assert [item.name for item in again.candidates] == [kind]
    before, after = load_bundle(whole / "model"), load_bundle(alone / "model")
    assert after.signature == before.signature
    np.testing.assert_array_equal(forecasts(alone).predictions, forecasts(whole).predictions)
    if task == "binary":
        np.testing.assert_array_equal(forecasts(alone).probabilities, forecasts(whole).probabilities)
    assert before.metadata.machine.keys() == after.metadata.machine.keys() >= {"processor", "threads", "device"}
    assert after.metadata.machine["threads"] == "1"


def test_inputs_and_parameters_that_a_run_chose_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = job(tmp_path, "binary", ["baseline", "logistic"])
    only = CandidateResult(name="random_forest-tuned", kind="random_forest", status="trained", complexity=2,
                           seconds=1.0, overrides={"n_estimators": 3}, features=("plan", "visits"))  # fmt: skip
    (tuned,) = _train(base, monkeypatch, only).candidates
    assert (tuned.name, tuned.overrides, tuned.params["n_estimators"]) == (only.name, only.overrides, 3)
    assert [column.name for column in load_bundle(base / "model").signature.inputs] == ["plan", "visits"]


# What a job uses of its machine


def test_a_training_job_leaves_what_it_used_of_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = job(tmp_path, "binary", ["baseline"])
    _train(base, monkeypatch)
    usage = MachineUsage.model_validate_json((base / "output" / "data" / USAGE_FILE).read_text())
    assert len(usage.moments) >= 2
    assert all(len(values) == len(usage.moments) for values in usage.series.values())
    assert 0 <= max(usage.series["system/cpu_utilization_percentage"]) <= 100
    assert max(usage.series["system/process_memory_megabytes"]) > 50


def _proc(folder: Path, busy: int, idle: int) -> Path:
    (folder / "self").mkdir(exist_ok=True, parents=True)
    (folder / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n")
    (folder / "meminfo").write_text("MemTotal: 4000 kB\nMemFree: 5 kB\nMemAvailable: 1000 kB\n")
    (folder / "self" / "statm").write_text("10 5 1 1 0 1 0\n")
    return folder


def test_processor_time_is_that_between_two_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    read = read_machine(_proc(tmp_path, 100, 900))
    _proc(tmp_path, 130, 910)
    sample = read()
    assert sample["system/cpu_utilization_percentage"] == 75
    assert sample["system/system_memory_usage_percentage"] == 75
    assert sample["system/system_memory_usage_megabytes"] == pytest.approx(3000 * 1024 / 1e6)
    assert read()["system/cpu_utilization_percentage"] == 0


def test_a_machine_without_proc_gives_no_samples(tmp_path: Path) -> None:
    assert read_machine(tmp_path / "none")() == {}


def test_gpus_are_asked_for_and_a_driver_that_does_not_answer_costs_only_its_own_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '37, 1000, 4000'\necho '0, 0, 4000'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    read = read_machine(_proc(tmp_path / "proc", 1, 1))
    sample = read()
    assert sample["system/gpu_0_utilization_percentage"] == 37
    assert sample["system/gpu_0_memory_usage_megabytes"] == pytest.approx(1048.576)
    assert sample["system/gpu_1_memory_usage_percentage"] == 0
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert not [name for name in read() if "gpu" in name]


def test_a_long_job_has_no_more_samples_than_a_short_one() -> None:
    sampler = Sampler(lambda: {"a": 1.0}, interval=1.0)
    for _ in range(4 * MOST_SAMPLES):
        sampler.take()
    assert MOST_SAMPLES / 2 <= len(sampler.samples) <= MOST_SAMPLES
    assert len(sampler.usage().series["a"]) == len(sampler.usage().moments)
