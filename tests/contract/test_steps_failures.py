"""A failure on the embedded AWS is explained with the log stream that its job really wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from passerelle.aws import clients
from passerelle.settings import FailRunSettings
from passerelle.steps.fail_run import fail_run
from passerelle.steps.run_stages import begin_stage
from tests.laptop_platform import LaptopPlatform, unique
from tests.unit.steps.world import Aws, embedded

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def aws(embedded_aws: LaptopPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with embedded(embedded_aws.settings, monkeypatch):
        yield Aws(unique("steps"), unique("failures"))


def test_the_stream_is_the_one_that_was_written_last_and_the_cause_is_step_functions_own(aws: Aws) -> None:
    job, logs = unique("job"), clients.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    for number, stream in enumerate((f"{job}/algo-1-1", f"{job}/algo-1-2", f"{job}0/algo-1-3")):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        event = {"timestamp": int(time.time() * 1000) + number, "message": "line"}
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[event])
    request = json.dumps({"project": "flights", "run_id": "r1", "attempt": 1})
    arn = aws.sfn.start_execution(stateMachineArn=aws.pipeline, name=unique("run"), input=request)["executionArn"]
    aws.sfn.stop_execution(executionArn=arn, error="Stopped", cause=json.dumps({"TrainingJobName": job}))
    aws.table.save(begin_stage(aws.begin_run(execution_arn=arn), "train", job_name=job))
    fail_run({"detail": {"executionArn": arn, "input": request}}, FailRunSettings(**aws.shared))
    error = aws.table.need("flights", "r1").error
    assert error is not None
    assert (error.log_group, error.log_stream, error.log_url) == (GROUP, f"{job}/algo-1-2", None)
    assert error.message == f"The execution was stopped. {job}: no reason was given"
