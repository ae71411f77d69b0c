"""A run that is at work when the embedded AWS is killed goes on with the same job, not with a second one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from laptop.platform import AWS, down, up
from laptop.processes import Processes
from tests.laptop_platform import ROLE, LaptopPlatform, running_platform, unique, wait_for

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
    server = psutil.Process(recorded.pid)
    children = server.children(recursive=True)
    os.kill(recorded.pid, signal.SIGKILL)
    # A process that is still dying would be taken for one that runs.
    psutil.wait_procs([server, *children], timeout=10)
    assert [child.pid for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


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


def test_a_redrive_after_a_failure_does_not_take_over_the_failed_job(aws: LaptopPlatform) -> None:
    """On AWS the name is taken: a definition that wants to be redriven must vary it."""
    name = unique("job")
    state = _training_state(name)
    state["Arguments"]["HyperParameters"]["seconds"] = "no number"
    execution = aws.start(aws.create_machine({"Train": state}))
    assert aws.finish(execution)["error"] == "States.TaskFailed"
    aws.client("stepfunctions").redrive_execution(executionArn=execution)
    assert aws.finish(execution)["error"] == "SageMaker.ResourceInUseException"
