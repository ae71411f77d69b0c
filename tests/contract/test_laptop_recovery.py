"""A run that is at work when the embedded AWS is killed goes on with the same job, not with a second one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from laptop.platform import AWS, down, up
from laptop.processes import Processes
from laptop.settings import LaptopSettings
from passerelle.errors import SettingsError
from tests.laptop_platform import (
    ROLE,
    LaptopPlatform,
    free_port,
    platform_home,
    running_platform,
    unique,
    wait_for,
)

TRAIN = """
import json, os, pathlib, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
time.sleep(float(json.loads((base / "input/config/hyperparameters.json").read_text())["seconds"]))
(base / "model").mkdir(parents=True, exist_ok=True)
(base / "model/weights").write_text("w")
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopPlatform]:
    script = tmp_path_factory.mktemp("image") / "train.py"
    script.write_text(TRAIN)
    with running_platform(tracking_server=False, images={"tiny": (sys.executable, str(script))}) as running:
        running.client("s3").create_bucket(Bucket="jobs")
        yield running


def _training_state(name: str) -> dict[str, Any]:
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "000000000000.dkr.ecr.us-east-1.amazonaws.com/tiny:1",
                                   "TrainingInputMode": "File"},
        "HyperParameters": {"seconds": "4"},
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }  # fmt: skip
    resource = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    output = "{% $states.result.TrainingJobStatus %}"
    return {"Type": "Task", "Resource": resource, "Arguments": request, "Output": output, "End": True}


def _status(aws: LaptopPlatform, name: str) -> str | None:
    sagemaker = aws.client("sagemaker")
    if not sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]:
        return None
    return str(sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"])


def _kill(aws: LaptopPlatform) -> None:
    recorded = Processes(aws.settings).find(AWS)
    assert recorded is not None
    time.sleep(4)  # a snapshot has seen the execution
    os.kill(recorded.pid, signal.SIGKILL)  # and at once, while it may still be dying, `up`


@pytest.mark.parametrize("nested", [False, True], ids=["in the machine itself", "in a nested execution"])
@pytest.mark.parametrize("clean", [False, True], ids=["killed", "stopped"])
def test_a_machine_that_waits_for_a_job_goes_on_with_that_job_after_a_restart(
    aws: LaptopPlatform, nested: bool, clean: bool
) -> None:
    name = unique("job")
    machine = aws.create_machine({"Train": _training_state(name)})
    if nested:
        arguments = {"StateMachineArn": machine, "Name": name, "Input": {}}
        resource = "arn:aws:states:::states:startExecution.sync:2"
        output = "{% $states.result.Output %}"
        state = {"Type": "Task", "Resource": resource, "Arguments": arguments, "Output": output, "End": True}
        machine = aws.create_machine({"Call": state})
    execution = aws.start(machine)
    wait_for(lambda: _status(aws, name) == "Training")
    if clean:
        down(aws.settings)
    else:
        _kill(aws)
    up(aws.settings, tracking_server=False)
    done = aws.finish(execution)
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", "Completed")
    assert done["redriveCount"] == 0
    jobs = aws.client("sagemaker").list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in jobs] == [name]


@pytest.mark.parametrize("dies", [True, False], ids=["is dying", "hangs"])
def test_a_part_that_runs_and_does_not_answer_is_started_anew(dies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laptop.platform.ANSWER_SECONDS", 60.0 if dies else 1.0)
    with platform_home() as home:
        settings = LaptopSettings(home=home, port=free_port(), mlflow_port=free_port())
        processes = Processes(settings)
        # What kill -9 leaves for a while: a process of that name, with its record, that takes no connection.
        seconds = "2" if dies else "600"
        mute = processes.start(AWS, ["sleep", seconds], environment={"PATH": os.environ["PATH"]}, port=settings.port)
        try:
            up(settings, tracking_server=False)
            assert not psutil.pid_exists(mute) or psutil.Process(mute).status() == psutil.STATUS_ZOMBIE
            assert LaptopPlatform(settings).client("sts").get_caller_identity()["Account"] == settings.account_id
        finally:
            down(settings)


def test_a_platform_that_runs_is_not_started_with_other_switches(aws: LaptopPlatform) -> None:
    with pytest.raises(SettingsError, match="passerelle down"):
        up(replace(aws.settings, enforce=True), tracking_server=False)
    assert aws.client("sts").get_caller_identity()["Account"] == aws.settings.account_id


def test_a_redrive_after_a_failure_does_not_take_over_the_failed_job(aws: LaptopPlatform) -> None:
    """On AWS the name is taken: a definition that wants to be redriven must vary it."""
    name = unique("job")
    state = _training_state(name)
    state["Arguments"]["HyperParameters"]["seconds"] = "no number"
    execution = aws.start(aws.create_machine({"Train": state}))
    assert aws.finish(execution)["error"] == "States.TaskFailed"
    aws.client("stepfunctions").redrive_execution(executionArn=execution)
    assert aws.finish(execution)["error"] == "SageMaker.ResourceInUseException"
