"""Jobs whose data, models and checkpoints meet a refusing bucket, a full disk or an unusual prefix."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own, wait_for
from tests.contract.test_sagemaker_jobs import SPOT, channel, in_training, model_of

__all__ = ["own"]


def refusing(times: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return an S3 call that is refused so many times before it works."""
    left = [times]

    def call(*arguments: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise ClientError(
                {"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate"}}, "PutObject"
            )
        return real(*arguments)

    return call


def test_a_model_that_cannot_be_uploaded_fails_the_job_with_the_reason(own: Own) -> None:
    real = own.around.bucket.upload_file

    def upload(source: str, bucket: str, key: str) -> None:
        if key.endswith("model.tar.gz"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject")
        real(source, bucket, key)

    own.around.bucket.upload_file = upload  # type: ignore[method-assign]
    own.call("CreateTrainingJob", make.training("job"))
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert "model.tar.gz" in job["FailureReason"]
    assert "Access Denied" in job["FailureReason"]
    assert "ModelArtifacts" not in job


def test_a_full_disk_while_data_is_downloaded_is_the_reason_of_the_failure(own: Own) -> None:
    def download(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    own.put("s3://contract/d/a.txt", "x")
    own.around.bucket.download_file = download  # type: ignore[method-assign]
    own.call("CreateTrainingJob", make.training("job", InputDataConfig=[channel("train", "s3://contract/d/")]))
    reason = own.ended("TrainingJob", "job")["FailureReason"]
    assert "No space left on device" in reason
    assert reason.startswith("ClientError: Failed to download s3://contract/d/a.txt")


def test_a_full_disk_while_the_model_is_packed_is_the_reason_of_the_failure(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tar: tarfile.TarFile, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "add", full)
    own.call("CreateTrainingJob", make.training("job"))
    job = own.ended("TrainingJob", "job")
    assert job["FailureReason"].startswith("ClientError: Failed to pack s3://contract/out/job/output/model.tar.gz")
    assert "No space left on device" in job["FailureReason"]


def test_a_job_whose_end_cannot_be_written_ends_when_it_can(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = own.sagemaker._store.update, [6]

    def update(kind: str, name: str, mutate: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return real(kind, name, mutate)

    monkeypatch.setattr("laptop.sagemaker.jobs.service.RETRY_SECONDS", 0.05)
    monkeypatch.setattr(own.sagemaker._store, "update", update)
    own.call("CreateTrainingJob", make.training("job"))
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert "disk is full" in job["FailureReason"]
    assert "TrainingEndTime" in job


def test_a_full_disk_of_the_state_does_not_end_what_runs(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []

    def note(*_: Any, **__: Any) -> None:
        refusals.append(1)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("laptop.sagemaker.jobs.control.SAVE_SECONDS", 0.0)
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "10"}, **SPOT))
    in_training(own, "job")
    monkeypatch.setattr(own.sagemaker.jobs._lifecycles["training-job"], "note", note)
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"
    assert refusals


def test_a_checkpoint_that_s3_refuses_is_told_in_the_log_and_copied_later(own: Own) -> None:
    own.around.bucket.upload_file = refusing(2, own.around.bucket.upload_file)  # type: ignore[method-assign]
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "60"}, **SPOT))
    wait_for(lambda: own.around.bucket.path("contract", "checkpoints/steps.json").exists())
    assert own.call("DescribeTrainingJob", {"TrainingJobName": "job"})["SecondaryStatus"] == "Training"
    own.call("StopTrainingJob", {"TrainingJobName": "job"})
    own.ended("TrainingJob", "job")
    log = (own.settings.sagemaker_home / "training-jobs/job/log.txt").read_text()
    assert "checkpoints could not be copied to S3 and will be tried again" in log
    assert "Please reduce your request rate" in log
    assert any("could not be copied" in text for _, _, text in own.around.lines)


def test_a_prefix_without_a_slash_at_its_end_fills_the_channel_as_the_sdk_relies_on(own: Own) -> None:
    for key in ("data/train/a.txt", "data/train/2024/b.txt", "data/train-labels/c.txt"):
        own.put(f"s3://contract/{key}", key)
    channels = [
        channel("folder", "s3://contract/data/train/"),
        channel("prefix", "s3://contract/data/train"),
        channel("object", "s3://contract/data/train/a.txt"),
        channel("start", "s3://contract/data/tra"),
    ]
    own.call("CreateTrainingJob", make.training("job", InputDataConfig=channels))
    found = set(model_of(own, own.ended("TrainingJob", "job"))["data"])
    assert {path for path in found if path.startswith("folder")} == {"folder/a.txt", "folder/2024/b.txt"}
    assert {path for path in found if path.startswith("prefix")} == {
        "prefix/a.txt", "prefix/2024/b.txt", "prefix/train-labels/c.txt",
    }  # fmt: skip
    assert {path for path in found if path.startswith("object")} == {"object/a.txt"}
    assert "start/train/a.txt" in found


def test_two_objects_that_would_be_one_file_fail_the_job(own: Own) -> None:
    own.put("s3://contract/d/train.txt", "outside")
    own.put("s3://contract/d/train/train.txt", "inside")
    own.call("CreateTrainingJob", make.training("job", InputDataConfig=[channel("c", "s3://contract/d/train")]))
    assert "would be the same file" in own.ended("TrainingJob", "job")["FailureReason"]


def test_a_bucket_without_a_prefix_takes_outputs_and_checkpoints(own: Own) -> None:
    changes = {**SPOT, "CheckpointConfig": {"S3Uri": "s3://bare"}, "OutputDataConfig": {"S3OutputPath": "s3://bare/"}}
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "3"}, **changes))
    job = own.ended("TrainingJob", "job")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bare/job/output/model.tar.gz"
    assert own.read("s3://bare/steps.json")


def test_a_finished_job_leaves_nothing_but_its_log_on_the_disk(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", **SPOT))
    own.ended("TrainingJob", "job")
    folder = own.settings.sagemaker_home / "training-jobs" / "job"
    wait_for(lambda: [name for _, _, names in os.walk(folder) for name in names] == ["log.txt"])
    assert (folder / "log.txt").read_text().startswith("started")


def test_an_unfinished_file_beside_its_finished_one_spoils_neither(own: Own) -> None:
    own.put("s3://contract/d/a.json", "finished")
    own.put("s3://contract/d/a.json.partial", "unfinished")
    real = own.around.bucket.download_file

    def download(bucket: str, key: str, target: str) -> None:
        real(bucket, key, target)
        if key == "d/a.json":  # be the last: what the other one leaves in this place would be taken for it
            other = Path(target).with_name("a.json.partial")
            wait_for(lambda: other.exists() and other.read_text() == "unfinished")

    own.around.bucket.download_file = download  # type: ignore[method-assign]
    own.call("CreateTrainingJob", make.training("job", InputDataConfig=[channel("c", "s3://contract/d")]))
    model = model_of(own, own.ended("TrainingJob", "job"))
    assert model["data"] == {"c/a.json": "finished", "c/a.json.partial": "unfinished"}
