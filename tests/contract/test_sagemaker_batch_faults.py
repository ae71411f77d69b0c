"""What goes wrong around processing and transform jobs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own, wait_for

__all__ = ["own"]


def process(own: Own, folder: Path, code: str, **changes: Any) -> dict[str, Any]:
    """Run Python code as a processing job; returns its description at the end."""
    path = folder / "process.py"
    path.write_text(f"import os, pathlib, time\nbase = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n{code}\n")
    entrypoint = {"ImageUri": make.IMAGE, "ContainerEntrypoint": ["python", str(path)]}
    own.call("CreateProcessingJob", make.processing("job", AppSpecification=entrypoint, **changes))
    return own.ended("ProcessingJob", "job")


def output(mode: str) -> dict[str, Any]:
    target = {"S3Uri": "s3://contract/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": mode}
    return {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]}}


def refused(*_: Any, **__: Any) -> None:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "AnyOperation")


NEVER_READY = {"NEVER_READY": "1"}


# Processing


def test_a_message_that_is_cut_inside_a_character_is_kept_up_to_it(own: Own, tmp_path: Path) -> None:
    job = process(own, tmp_path, "(base / 'output/message').write_text('a' + 'é' * 600)")
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ExitMessage"] == "a" + "é" * 511


def test_a_message_that_is_no_utf_8_fails_the_job(own: Own, tmp_path: Path) -> None:
    job = process(own, tmp_path, r"(base / 'output/message').write_bytes(b'caf\xe9 ole')")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError")
    assert "UTF-8" in job["FailureReason"]


def test_a_continuous_output_survives_a_bucket_that_refuses_for_a_while(own: Own, tmp_path: Path) -> None:
    real, refusals = own.around.bucket.upload_file, [3]

    def upload(*arguments: str) -> None:
        if refusals[0]:
            refusals[0] -= 1
            refused()
        real(*arguments)

    own.around.bucket.upload_file = upload  # type: ignore[method-assign]
    code = (
        f"copy = pathlib.Path({str(own.around.bucket.path('contract', 'out/a.txt'))!r})\n"
        "(base / 'processing/out/a.txt').write_text('one')\n"
        "while not copy.exists(): time.sleep(0.05)\n"
        "(base / 'processing/out/b.txt').write_text('the first came while I ran')\n"
    )
    job = process(own, tmp_path, code, **output("Continuous"))
    assert job["ProcessingJobStatus"] == "Completed", job
    assert own.read("s3://contract/out/b.txt") == b"the first came while I ran"
    assert any("could not be copied to S3" in text for _, _, text in own.around.lines)


def test_an_output_that_cannot_be_uploaded_fails_the_job_with_the_reason(own: Own, tmp_path: Path) -> None:
    own.around.bucket.upload_file = refused  # type: ignore[assignment]
    job = process(own, tmp_path, "(base / 'processing/out/a.txt').write_text('one')", **output("EndOfJob"))
    assert job["ProcessingJobStatus"] == "Failed"
    assert "s3://contract/out/a.txt" in job["FailureReason"]
    assert "ProcessingEndTime" in job


def test_a_processing_job_that_exceeds_its_runtime_fails_and_says_so(own: Own, tmp_path: Path) -> None:
    job = process(own, tmp_path, "time.sleep(600)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert job["ProcessingJobStatus"] == "Failed"
    assert "MaxRuntimeInSeconds of 1" in job["FailureReason"]


@pytest.mark.parametrize("path", ["/opt/ml/processing//in/", "/opt/ml//processing/in", "/opt//ml///processing/in"])
def test_slashes_too_many_in_a_local_path_do_not_lead_out_of_the_job(own: Own, tmp_path: Path, path: str) -> None:
    own.put("s3://contract/texts/a.txt", "quiet")
    source = {"S3Uri": "s3://contract/texts", "LocalPath": path, "S3DataType": "S3Prefix"}
    inputs = [{"InputName": "in", "S3Input": source}]
    code = "assert (base / 'processing/in/a.txt').read_text() == 'quiet'"
    assert process(own, tmp_path, code, ProcessingInputs=inputs)["ProcessingJobStatus"] == "Completed"


# Transform


def scored(own: Own, **changes: Any) -> dict[str, Any]:
    """Run a transform job; returns its description at the end."""
    own.call("CreateModel", make.model("contract-model"))
    own.call("CreateTransformJob", make.transform("job", **changes))
    return own.ended("TransformJob", "job")


def told(own: Own, message: str) -> list[str]:
    """Return the objects of which the data log tells a message."""
    lines = [text for _, stream, text in own.around.lines if stream.endswith("/data-log")]
    return [line.split(":[sagemaker logs]: ")[1].split(": ")[0] for line in lines if message in line]


def test_a_transform_job_gives_its_environment_to_the_container(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "1\n")
    job = scored(own, Environment={"NAME": "night run"})
    assert job["TransformJobStatus"] == "Completed", job
    assert b'"name": "night run"' in own.read("s3://contract/scored/a.csv.out")


@pytest.mark.parametrize("order", ["close", "stop"])
@pytest.mark.parametrize("ready", [True, False])
def test_neither_a_close_nor_a_stop_waits_for_a_slow_transform_server(
    own: Own, tmp_path: Path, ready: bool, order: str
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    own.put("s3://contract/batch/a.csv", "1\n")
    own.call("CreateModel", make.model("contract-model"))
    own.call("CreateTransformJob", make.transform("job", Environment={"HOLD": str(hold)} if ready else NEVER_READY))
    began = (tmp_path / "hold.seen") if ready else own.settings.sagemaker_home / "transform-jobs/job/log.txt"
    wait_for(began.exists)
    if order == "stop":
        own.call("StopTransformJob", {"TransformJobName": "job"})
        job = own.ended("TransformJob", "job")
        assert (job["TransformJobStatus"], "FailureReason" in job) == ("Stopped", False)
    closing = threading.Thread(target=own.sagemaker.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    hold.unlink()
    own.open()
    status = own.call("DescribeTransformJob", {"TransformJobName": "job"})["TransformJobStatus"]
    assert status in (("InProgress", "Completed") if order == "close" else ("Stopped",))


def test_a_transform_job_goes_on_after_a_restart_with_what_is_not_scored(own: Own) -> None:
    for number in range(6):
        own.put(f"s3://contract/batch/{number}.csv", f"{number}\n")
    own.call("CreateModel", make.model("contract-model"))
    own.call("CreateTransformJob", make.transform("job", Environment={"DELAY": "0.5"}))
    first = own.around.bucket.path("contract", "scored/1.csv.out")
    wait_for(first.exists)
    own.sagemaker.close()
    written = first.stat().st_mtime_ns
    own.open()
    assert own.ended("TransformJob", "job")["TransformJobStatus"] == "Completed"
    assert own.read("s3://contract/scored/5.csv.out")
    assert first.stat().st_mtime_ns == written


def test_a_model_that_is_deleted_before_the_job_begins_is_the_reason_of_its_failure(tmp_path: Path) -> None:
    waiting = Own(tmp_path, launch_seconds=600.0)
    waiting.call("CreateModel", make.model("contract-model"))
    waiting.call("CreateTransformJob", make.transform("job"))
    waiting.call("DeleteModel", {"ModelName": "contract-model"})
    waiting.sagemaker.close()
    service = Own(tmp_path)
    job = service.ended("TransformJob", "job")
    assert job["FailureReason"] == "ClientError: Could not find model contract-model"
    service.sagemaker.close()


def test_a_bucket_that_refuses_fails_the_transform_job_with_its_words(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "1\n")
    own.around.bucket.put_object = refused  # type: ignore[method-assign]
    job = scored(own)
    assert job["TransformJobStatus"] == "Failed"
    assert "Access Denied" in job["FailureReason"]
    assert "InternalServerError" not in job["FailureReason"]
    assert "TransformEndTime" in job


def test_an_object_that_fails_does_not_hinder_the_others(own: Own) -> None:
    for name, text in {"a": "bad", "b": "1\n", "c": "bad", "d": "2\n"}.items():
        own.put(f"s3://contract/batch/{name}.csv", text)
    job = scored(own)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    assert told(own, "ClientError: 400") == ["contract/batch/a.csv", "contract/batch/c.csv"]
    written = {path.name for path in own.around.bucket.path("contract", "scored").iterdir()}
    assert written == {"b.csv.out", "d.csv.out"}


def test_a_server_that_dies_fails_the_transform_job_at_once(own: Own) -> None:
    for name, text in {"a": "crash", "b": "1\n"}.items():
        own.put(f"s3://contract/batch/{name}.csv", text)
    job = scored(own)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert told(own, "Unable to get response from algorithm") == ["contract/batch/a.csv"]
    assert not own.around.bucket.path("contract", "scored").exists()


def test_a_line_above_the_payload_fails_the_job_and_no_limit_takes_it(own: Own) -> None:
    own.put("s3://contract/batch/a.csv", "1\n" + "2" * 1_200_000 + "\n3\n")
    job = scored(own, MaxPayloadInMB=1)
    assert job["TransformJobStatus"] == "Failed"
    assert told(own, "Too much data for max payload size: line 2") == ["contract/batch/a.csv"]
    own.call("CreateTransformJob", make.transform("free", MaxPayloadInMB=0))
    assert own.ended("TransformJob", "free")["TransformJobStatus"] == "Completed"
    assert len(own.read("s3://contract/scored/a.csv.out").splitlines()) == 1


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (2, 3), (None, 4)])
def test_what_the_server_does_not_answer_is_asked_again_as_often_as_the_client_config_says(
    own: Own, tmp_path: Path, retries: int | None, calls: int
) -> None:
    own.put("s3://contract/batch/a.csv", "hangup")
    changes = {} if retries is None else {"ModelClientConfig": {"InvocationsMaxRetries": retries}}
    job = scored(own, Environment={"CALLS": str(tmp_path / "calls")}, **changes)
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert told(own, "Unable to get response from algorithm: lines 1 to 1") == ["contract/batch/a.csv"]
    assert (tmp_path / "calls").read_text().splitlines() == ["hangup"] * calls


def test_an_answer_may_take_as_long_as_the_client_config_says(own: Own, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    own.put("s3://contract/batch/a.csv", "1\n")
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = scored(own, Environment={"HOLD": str(hold)}, ModelClientConfig=client)
    assert job["TransformJobStatus"] == "Failed"
    assert any("timed out" in text for _, _, text in own.around.lines)
    hold.unlink()
