"""What goes wrong around jobs: stops at bad moments, restarts, refusing disks and buckets, containers that leave things.

Each of these once failed or would fail on a real account.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from laptop.sagemaker.jobs import control
from laptop.sagemaker.jobs.processing import ProcessingRun
from laptop.sagemaker.jobs.training import TrainingRun
from laptop.sagemaker.store import Store
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_service import Own, own, scripted, wait_for
from tests.contract.test_sagemaker_jobs import SPOT, channel, in_training

__all__ = ["own"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def secondary(own: Own, name: str) -> str:
    return str(own.call("DescribeTrainingJob", {"TrainingJobName": name})["SecondaryStatus"])


def edit(own: Own, kind: str, name: str, **fields: Any) -> None:
    """Change what a closed service has stored."""
    store = Store(own.settings.sagemaker_home / "state.db")
    store.update(kind, name, lambda job: job.update(fields))
    store.close()


# Containers


@pytest.mark.parametrize("own_session", [False, True])
def test_nothing_that_a_container_started_outlives_it(own: Own, tmp_path: Path, own_session: bool) -> None:
    code = (
        "import os, pathlib, subprocess\n"
        f"child = subprocess.Popen(['sleep', '60'], start_new_session={own_session})\n"
        "pathlib.Path(os.environ['PIDFILE']).write_text(str(child.pid))\n"
    )
    pidfile = tmp_path / "pid"
    own.call(
        "CreateTrainingJob", make.training("job", **scripted(tmp_path, code), Environment={"PIDFILE": str(pidfile)})
    )
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"
    child = int(pidfile.read_text())
    try:
        wait_for(lambda: not alive(child), seconds=60)
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)


def test_an_entrypoint_of_the_request_replaces_the_train_argument(own: Own, tmp_path: Path) -> None:
    code = "import sys; sys.exit('arguments: ' + ','.join(sys.argv[1:]))"
    own.call("CreateTrainingJob", make.training("bare", **scripted(tmp_path, code)))
    assert own.ended("TrainingJob", "bare")["FailureReason"] == "AlgorithmError: arguments: , exit code: 1"
    own.call(
        "CreateTrainingJob",
        make.training("given", **scripted(tmp_path, code), AlgorithmSpecification__ContainerArguments=["a", "b"]),
    )
    assert "arguments: a,b" in own.ended("TrainingJob", "given")["FailureReason"]


@pytest.mark.parametrize("command", [["/nowhere/at/all"], ["python", "\0"]])
def test_a_command_that_cannot_be_started_fails_the_job_with_the_reason(own: Own, command: list[str]) -> None:
    request = make.training("job", AlgorithmSpecification__ContainerEntrypoint=command)
    own.call("CreateTrainingJob", request)
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"].startswith("AlgorithmError: Cannot start the container")
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]


def test_a_log_file_on_a_full_disk_holds_no_job_up(own: Own) -> None:
    log = own.settings.sagemaker_home / "training-jobs" / "job" / "log.txt"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    own.call("CreateTrainingJob", make.training("job"))
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"
    assert "started" in [text for _, _, text in own.around.lines]


def test_a_request_cannot_move_a_container_out_of_its_job(own: Own, tmp_path: Path) -> None:
    environment = {"SAGEMAKER_BASE_DIR": str(tmp_path / "elsewhere"), "PASSERELLE_HOME": "another"}
    own.call("CreateTrainingJob", make.training("job", Environment=environment))
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("isolated", "left"), [(True, []), (False, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])])
def test_an_isolated_container_has_no_credentials(own: Own, tmp_path: Path, isolated: bool, left: list[str]) -> None:
    code = "import os; print('keys', sorted(name for name in os.environ if '_KEY' in name))"
    own.call("CreateTrainingJob", make.training("job", **scripted(tmp_path, code), EnableNetworkIsolation=isolated))
    own.ended("TrainingJob", "job")
    assert [text for _, _, text in own.around.lines] == [f"keys {left}"]


@pytest.mark.parametrize("kind", ["TrainingJob", "ProcessingJob"])
def test_a_defect_of_the_service_ends_the_job_and_its_container(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pidfile = tmp_path / "pid"
    code = f"import os, pathlib, time\npathlib.Path({str(pidfile)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    specification = scripted(tmp_path, code)

    def broken(run: Any, container: Any) -> str:
        wait_for(lambda: pidfile.exists() and pidfile.read_text())
        raise RuntimeError("a defect")

    monkeypatch.setattr(TrainingRun, "_watch", broken)
    monkeypatch.setattr(ProcessingRun, "_watch", broken)
    entrypoint = specification["AlgorithmSpecification"]["ContainerEntrypoint"]
    app = {"ImageUri": make.IMAGE, "ContainerEntrypoint": entrypoint}
    requests = {
        "TrainingJob": make.training("job", **specification),
        "ProcessingJob": make.processing("job", AppSpecification=app),
    }
    own.call(f"Create{kind}", requests[kind])
    job = own.ended(kind, "job")
    assert job["FailureReason"] == "InternalServerError: RuntimeError: a defect"
    wait_for(lambda: not alive(int(pidfile.read_text())), seconds=60)


# Stop and close


def test_a_service_closes_at_once_though_a_job_ignores_its_stop(tmp_path: Path) -> None:
    service = Own(tmp_path, stop_grace_seconds=600.0)
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('not now', flush=True))\n"
        "print('started', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    service.call("CreateTrainingJob", make.training("job", **scripted(tmp_path, code)))
    in_training(service, "job")
    service.call("StopTrainingJob", {"TrainingJobName": "job"})
    wait_for(lambda: "not now" in [text for _, _, text in service.around.lines])
    closing = threading.Thread(target=service.sagemaker.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()


def slow_download(own: Own, started: threading.Event, go_on: threading.Event) -> None:
    real = own.around.bucket.download_file

    def download(*arguments: Any) -> None:
        started.set()
        assert go_on.wait(30)
        real(*arguments)

    own.around.bucket.download_file = download  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", ["TrainingJob", "ProcessingJob"])
def test_a_stop_while_data_is_downloaded_never_starts_the_container(own: Own, kind: str) -> None:
    started, go_on = threading.Event(), threading.Event()
    slow_download(own, started, go_on)
    own.put("s3://contract/d/a.txt", "x")
    source = {"S3Uri": "s3://contract/d/", "LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix"}
    requests = {
        "TrainingJob": make.training("job", InputDataConfig=[channel("train", "s3://contract/d/")]),
        "ProcessingJob": make.processing("job", ProcessingInputs=[{"InputName": "in", "S3Input": source}]),
    }
    own.call(f"Create{kind}", requests[kind])
    assert started.wait(30)
    own.call(f"Stop{kind}", {f"{kind}Name": "job"})
    lifecycle = own.sagemaker.jobs._lifecycles[{"TrainingJob": "training-job", "ProcessingJob": "processing-job"}[kind]]
    lifecycle.change("job", **{f"{kind}Status": "InProgress"})  # what a thread that has not heard of the stop may say
    go_on.set()
    assert own.ended(kind, "job")[f"{kind}Status"] == "Stopped"
    told = [detail[f"{kind}Status"] for _, detail in own.around.events]
    assert told[told.index("Stopping") :] == ["Stopping", "Stopped"]
    assert own.around.lines == []


def test_a_job_that_waits_for_its_turn_stops_without_it(tmp_path: Path) -> None:
    service = Own(tmp_path, launch_seconds=600.0)
    running = 2 * (os.cpu_count() or 2)
    for number in range(running + 1):
        service.call("CreateTrainingJob", make.training(f"job-{number}"))
    service.call("StopTrainingJob", {"TrainingJobName": f"job-{running}"})
    job = service.ended("TrainingJob", f"job-{running}")
    assert [part["Status"] for part in job["SecondaryStatusTransitions"]] == ["Stopping", "Stopped"]
    assert "BillableTimeInSeconds" not in job
    service.sagemaker.close()


@pytest.mark.parametrize(
    ("kind", "request_"), [("TrainingJob", make.training("job")), ("ProcessingJob", make.processing("job"))]
)
def test_an_ended_job_stays_as_it_is_whatever_comes_late(own: Own, kind: str, request_: dict[str, Any]) -> None:
    own.call(f"Create{kind}", request_)
    before = own.ended(kind, "job")
    late = own.sagemaker.jobs._lifecycles[before[f"{kind}Arn"].split(":")[5].partition("/")[0]]
    late.change("job", **{f"{kind}Status": "Stopping"})
    late.end("job", "Failed", message="too late", FailureReason="too late")
    if kind == "TrainingJob":
        late.secondary("job", "Training", "again", TrainingJobStatus="InProgress")
    after = own.call(f"Describe{kind}", {f"{kind}Name": "job"})
    assert before[f"{kind}Status"] == "Completed"
    assert after | {"LastModifiedTime": None} == before | {"LastModifiedTime": None}


# Restarts


def test_a_job_found_stopping_at_the_start_has_its_end_and_its_bill(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "1000"}))
    in_training(own, "job")
    own.sagemaker.close()
    edit(own, "training-job", "job", TrainingJobStatus="Stopping")
    own.open()
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert job["TrainingEndTime"] > job["TrainingStartTime"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1


@pytest.mark.parametrize(
    ("kind", "stored", "request_"),
    [
        ("ProcessingJob", "processing-job", make.processing("job")),
        ("TransformJob", "transform-job", make.transform("job")),
    ],
)
def test_other_jobs_found_stopping_at_the_start_end_stopped(
    own: Own, kind: str, stored: str, request_: dict[str, Any]
) -> None:
    own.call("CreateModel", make.model("contract-model"))
    own.call(f"Create{kind}", request_)
    own.ended(kind, "job")
    own.sagemaker.close()
    end = {"ProcessingJob": "ProcessingEndTime", "TransformJob": "TransformEndTime"}[kind]
    edit(own, stored, "job", **{f"{kind}Status": "Stopping", end: None})
    own.open()
    job = own.ended(kind, "job")
    assert job[f"{kind}Status"] == "Stopped"
    assert job[end] is not None


@pytest.mark.parametrize("status", ["Starting", "Downloading", "Training", "Uploading", "Interrupted"])
def test_a_job_goes_on_after_a_death_in_every_status(own: Own, status: str) -> None:
    own.sagemaker.close()
    own.settings = own.settings.__class__(**{**vars(own.settings), "launch_seconds": 600.0})
    own.open()
    own.call("CreateTrainingJob", make.training("job", **SPOT))
    own.sagemaker.close()
    edit(own, "training-job", "job", SecondaryStatus=status)
    own.settings = own.settings.__class__(**{**vars(own.settings), "launch_seconds": 0.0})
    own.open()
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"


def test_a_job_that_is_created_while_the_platform_closes_starts_with_it_again(own: Own) -> None:
    own.sagemaker.jobs.close()
    own.call("CreateTrainingJob", make.training("job"))
    own.reopen()
    assert own.ended("TrainingJob", "job")["TrainingJobStatus"] == "Completed"


# Spot, limits and the bill


def test_runtime_is_counted_over_all_attempts_of_a_job(own: Own) -> None:
    changes = {**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}}
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "1000"}, **changes))
    in_training(own, "job")
    own.sagemaker.close()
    edit(own, "training-job", "job", _billed_seconds=3601.0)
    own.open()
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_the_hours_while_the_platform_is_down_are_neither_waiting_nor_training(own: Own) -> None:
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "30"}, **SPOT))
    in_training(own, "job")
    own.sagemaker.close()
    job = Store(own.settings.sagemaker_home / "state.db").get("training-job", "job")
    assert job is not None
    past = {key: job[key].replace(year=2020) for key in ("CreationTime", "TrainingStartTime")}
    edit(own, "training-job", "job", **past)
    own.open()
    done = own.ended("TrainingJob", "job")
    assert done["TrainingJobStatus"] == "Completed", done
    assert done["TrainingTimeInSeconds"] < 90


def test_the_saving_of_a_spot_job_is_the_share_that_is_not_billed(own: Own) -> None:
    own.sagemaker.close()
    own.settings = own.settings.__class__(**{**vars(own.settings), "spot_saving": 0.75})
    own.open()
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "1000"}, **SPOT))
    in_training(own, "job")
    own.sagemaker.close()
    edit(own, "training-job", "job", TrainingJobStatus="Stopping", _billed_seconds=1000.0)
    own.open()
    job = own.ended("TrainingJob", "job")
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (1000, 250)


def test_a_job_that_never_had_an_instance_is_not_billed(tmp_path: Path) -> None:
    service = Own(tmp_path, launch_seconds=600.0)
    service.call("CreateTrainingJob", make.training("job"))
    wait_for(lambda: secondary(service, "job") == "Starting")
    service.call("StopTrainingJob", {"TrainingJobName": "job"})
    job = service.ended("TrainingJob", "job")
    assert not {"TrainingStartTime", "TrainingTimeInSeconds", "BillableTimeInSeconds"} & set(job)
    service.sagemaker.close()


def test_a_killed_platform_remembers_what_a_job_has_run(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SAVE_SECONDS", 0.0)
    own.call("CreateTrainingJob", make.training("job", Environment={"STEPS": "1000"}))
    in_training(own, "job")
    store = Store(own.settings.sagemaker_home / "state.db")
    wait_for(lambda: (store.get("training-job", "job") or {}).get("_billed_seconds", 0.0) > 0.5)
    store.close()
