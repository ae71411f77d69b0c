"""A training job that loses its instance three times ends with the model of one that never lost it."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from laptop.sagemaker.jobs.training import log_file
from passerelle.contracts.container import TrainResult
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, scripted, wait_for
from tests.contract.test_sagemaker_jobs import channel
from tests.unit.training.test_train import forecasts, job
from training.train.stages import LEG

CANDIDATES = ["baseline", "xgboost"]
INTERRUPTIONS = 3
PIECES = ("rounds_fitted", "features_tried")
ROOT = Path(__file__).resolve().parents[2]
SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 900, "MaxWaitTimeInSeconds": 900},
        "CheckpointConfig": {"S3Uri": "s3://contract/checkpoints"}}  # fmt: skip
#: The container's own entry; small data is fitted in no time, so a rest follows each stage of so few rounds as may be, and each size.
SLOW = """
import sys, time
sys.path.insert(0, {root!r})
from training.__main__ import main  # first: it says how OpenMP's threads wait
from training.train import fit_checkpoint, pace, reduce
print("attempt begins", flush=True)
pace.COST_SHARE = float("inf")
tell = fit_checkpoint.tell
def slow(event, **fields):
    tell(event, **fields)
    if event in ("rounds_fitted", "features_tried"):
        time.sleep(0.02)
fit_checkpoint.tell = reduce.tell = slow
sys.exit(main(["train"]))
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Own]:
    own = Own(tmp_path / "home", stop_grace_seconds=120.0)
    yield own
    own.sagemaker.close()


def test_three_interruptions_at_random_moments_change_no_prediction_and_lose_at_most_an_interval(
    service: Own, tmp_path: Path
) -> None:
    base = job(tmp_path / "job", "binary", CANDIDATES, reduce=True)
    _checkpoint_every_stage(base)
    request = _request(service, base, tmp_path)
    expected, pieces = _uninterrupted(base)
    service.call("CreateTrainingJob", request)
    log = log_file(service.settings, "job")
    # By what has been done, not by the clock: where the moments lie must not depend on how busy the machine is.
    for moment in sorted(random.Random(7).sample(range(1, pieces - 2), INTERRUPTIONS)):
        wait_for(lambda moment=moment: len(_pieces(log)) >= moment, 240)  # type: ignore[misc]
        service.sagemaker.interrupt("job")
        attempts = len(_attempts(log))
        wait_for(lambda attempts=attempts: len(_attempts(log)) > attempts, 240)  # type: ignore[misc]
    wait_for(lambda: _described(service)["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))
    ended = _described(service)
    assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason")
    phases = [part["Status"] for part in ended["SecondaryStatusTransitions"]]
    assert phases.count("Interrupted") == INTERRUPTIONS
    result = _unpack(service, ended, tmp_path / "interrupted")
    assert (result.chosen, result.why) == (expected.chosen, expected.why)
    (tmp_path / "interrupted" / "input").symlink_to(base / "input")
    np.testing.assert_array_equal(forecasts(tmp_path / "interrupted").probabilities, forecasts(base).probabilities)
    assert [point.features for point in result.curve] == [point.features for point in expected.curve]
    assert all(lost <= LEG for lost in _lost_rounds(log))
    sizes = [event["features"] for event in _pieces(log) if event["event"] == "features_tried"]
    assert len(sizes) - len(set(sizes)) <= INTERRUPTIONS
    assert any(event["event"] == "fit_resumed" for attempt in _attempts(log) for event in attempt)


def _uninterrupted(base: Path) -> tuple[TrainResult, int]:
    """Run the same entry to its end; return its result, and how many pieces of work it has."""
    code, environment = SLOW.format(root=str(ROOT)), {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    pieces = [line for line in done.stdout.splitlines() if line.startswith("{") and json.loads(line)["event"] in PIECES]
    return TrainResult.model_validate_json((base / "output" / "data" / "result.json").read_text()), len(pieces)


def _described(service: Own) -> dict[str, Any]:
    return dict(service.call("DescribeTrainingJob", {"TrainingJobName": "job"}))


def _checkpoint_every_stage(base: Path) -> None:
    archive = base / "input" / "data" / "project" / "p.zip"
    with zipfile.ZipFile(archive) as old:
        document = yaml.safe_load(old.read("project.yaml"))
    document["training"]["checkpoint_seconds"] = 0
    with zipfile.ZipFile(archive, "w") as new:
        new.writestr("project.yaml", yaml.safe_dump(document))


def _request(service: Own, base: Path, folder: Path) -> dict[str, Any]:
    """Return the job's request, with its channels in S3."""
    parts = ("project", "train", "validation", "test")
    for path in (base / "input" / "data").rglob("*"):
        if path.is_file():
            key = path.relative_to(base / "input" / "data").as_posix()
            service.around.bucket.put_object(Bucket="contract", Key=f"data/{key}", Body=path.read_bytes())
    parameters = json.loads((base / "input" / "config" / "hyperparameters.json").read_text())
    code = SLOW.format(root=str(ROOT))
    return make.training(
        "job",
        InputDataConfig=[channel(part, f"s3://contract/data/{part}/") for part in parts],
        HyperParameters=parameters,
        **scripted(folder, code),
        **SPOT,
    )


def _unpack(service: Own, ended: dict[str, Any], folder: Path) -> TrainResult:
    model = ended["ModelArtifacts"]["S3ModelArtifacts"]
    for uri, part in ((model, "model"), (model.replace("model.tar.gz", "output.tar.gz"), "output/data")):
        with tarfile.open(fileobj=io.BytesIO(service.read(uri))) as tar:
            tar.extractall(folder / part, filter="data")
    return TrainResult.model_validate_json((folder / "output" / "data" / "result.json").read_text())


def _attempts(log: Path) -> list[list[dict[str, Any]]]:
    """Return the events of each attempt."""
    attempts: list[list[dict[str, Any]]] = []
    for line in log.read_text().splitlines() if log.exists() else ():
        if line.startswith("{"):
            attempts[-1].append(json.loads(line))
        elif line == "attempt begins":
            attempts.append([])
    return attempts


def _pieces(log: Path) -> list[dict[str, Any]]:
    """Return what has been done, in the pieces between which a job may be interrupted without loss."""
    return [event for attempt in _attempts(log) for event in attempt if event["event"] in PIECES]


def _lost_rounds(log: Path) -> Iterator[int]:
    """Yield, for each interruption, how many rounds the next attempt had to fit again."""
    for before, after in zip(_attempts(log), _attempts(log)[1:], strict=False):
        fits = [event for event in before if event["event"] == "rounds_fitted" and event["candidate"] != "baseline"]
        if not fits:
            continue
        again = [event for event in after if event.get("candidate") == fits[-1]["candidate"]]
        resumed = next((event["rounds"] for event in again if event["event"] == "fit_resumed"), 0)
        began_again = any(event["event"] == "candidate_started" for event in again)
        yield fits[-1]["rounds"] - resumed if began_again else 0
