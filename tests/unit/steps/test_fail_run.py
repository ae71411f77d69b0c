"""A failed execution is explained in its run's record, and only there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passerelle.aws.clients import client
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.runs import RunRecord
from passerelle.settings import FailRunSettings
from passerelle.steps.fail_run import fail_run
from passerelle.steps.run_stages import begin_stage

from .world import Aws

SETTINGS = FailRunSettings(environment="laptop", runs_table="test-runs")


def _event(aws: Aws, attempt: int) -> dict[str, Any]:
    """Start and stop an execution of attempt 2 of run r1; returns the event about `attempt`."""
    request = json.dumps({"project": "flights", "run_id": "r1", "attempt": attempt})
    arn = aws.sfn.start_execution(stateMachineArn=aws.pipeline, name="e", input=request)["executionArn"]
    aws.sfn.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    moment = "2026-11-21T05:00:00+00:00"
    record = RunRecord(
        project="flights", run_id="r1", attempt=2, status="running", created_at=moment, updated_at=moment
    )
    table = RunsTable(client("dynamodb"), "test-runs")
    table.save(begin_stage(record, "train", job_name="job-1"))
    table.create("flights", "LOCK", run_id="r1")
    return {"detail": {"executionArn": arn, "input": request}}


def test_a_stopped_execution_fails_its_run_names_the_log_and_frees_the_project(aws: Aws) -> None:
    assert fail_run(_event(aws, 2), SETTINGS)["outcome"] == "failed"
    table = RunsTable(client("dynamodb"), "test-runs")
    record = table.need("flights", "r1")
    assert record.status == "failed"
    assert record.error is not None
    assert (record.error.stage, record.error.log_stream) == ("train", "job-1")
    assert "passerelle runs retry r1" in record.error.remedy
    assert table.item("flights", "LOCK") is None


@pytest.mark.parametrize("attempt", [1, 3])
def test_another_attempts_execution_changes_nothing(aws: Aws, attempt: int) -> None:
    assert fail_run(_event(aws, attempt), SETTINGS)["outcome"] == "ignored"
    assert RunsTable(client("dynamodb"), "test-runs").need("flights", "r1").status == "running"
