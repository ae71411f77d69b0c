"""What events would have said is found without them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passerelle.settings import ReconcileDropsSettings
from passerelle.steps.claim_drop import claim_drop
from passerelle.steps.gather_drop import gather_drop
from passerelle.steps.reconcile_drops import reconcile_drops

from .world import Aws


def _reconcile(aws: Aws, grace_seconds: int = -1) -> dict[str, Any]:
    """A negative grace: what happened just now counts as long ago."""
    settings = ReconcileDropsSettings(
        **aws.shared,
        raw_bucket=aws.buckets["raw"],
        reports_bucket=aws.buckets["reports"],
        pipeline_arn=aws.pipeline,
        grace_seconds=grace_seconds,
    )
    return reconcile_drops(settings)


def _die(*_: Any) -> None:
    raise SystemExit


def _start(aws: Aws, run_id: str) -> str:
    """Start an execution and write the record that it would have written."""
    name = aws.execution_arn(run_id).rsplit(":", 1)[1]
    request = json.dumps({"project": "flights", "run_id": run_id, "attempt": 1})
    arn = str(aws.sfn.start_execution(stateMachineArn=aws.pipeline, name=name, input=request)["executionArn"])
    aws.begin_run(run_id, execution_arn=arn)
    return arn


def test_objects_whose_events_were_lost_are_claimed_and_make_one_run(aws: Aws) -> None:
    longest = "flights/" + "x" * 1016
    for key in ("flights/a.csv", "flights/sub/é b.csv", longest, "flights/", "other/c.csv"):
        aws.drop(key, b"x")
    answer = _reconcile(aws)
    assert answer["claimed"] == ["flights/a.csv", "flights/sub/é b.csv", longest]
    assert len(aws.executions()) == 1
    assert _reconcile(aws)["claimed"] == []


def test_an_object_whose_event_may_still_come_is_left_to_it(aws: Aws) -> None:
    aws.drop("flights/a.csv", b"x")
    assert _reconcile(aws, grace_seconds=300) == {"claimed": [], "batches": [], "ended": []}
    assert aws.executions() == []


def test_an_object_that_was_deleted_since_is_not_claimed(aws: Aws) -> None:
    aws.drop("flights/a.csv", b"x")
    aws.s3.delete_object(Bucket=aws.buckets["raw"], Key="flights/a.csv")
    assert _reconcile(aws)["claimed"] == []


def test_an_event_that_comes_after_all_finds_its_object_claimed(aws: Aws) -> None:
    event = aws.drop("flights/a.csv", b"x")
    _reconcile(aws)
    assert claim_drop(event, aws.claim_settings)["outcome"] == "claimed before"
    assert len(aws.executions()) == 1


def test_a_claim_whose_function_died_before_it_started_a_run_gets_one(aws: Aws, monkeypatch: Any) -> None:
    event = aws.drop("flights/a.csv", b"x")
    with monkeypatch.context() as patch:
        patch.setattr("passerelle.steps.claim_drop.ensure_batch", _die)
        with pytest.raises(SystemExit):
            claim_drop(event, aws.claim_settings)
    assert aws.executions() == []
    (run_id,) = _reconcile(aws)["batches"]
    request = {"project": "flights", "run_id": run_id, "attempt": 1}
    assert gather_drop(request, aws.gather_settings)["status"] == "ready"


def test_files_of_a_batch_that_was_stopped_get_another_run(aws: Aws) -> None:
    first = claim_drop(aws.drop("flights/a.csv", b"x"), aws.claim_settings)["run_id"]
    aws.sfn.stop_execution(executionArn=aws.execution_arn(first))
    (second,) = _reconcile(aws)["batches"]
    assert second != first
    assert len(aws.executions()) == 2


def test_a_run_whose_failure_nobody_heard_of_is_failed_with_its_reason(aws: Aws) -> None:
    arn = _start(aws, "r1")
    aws.table.create("flights", "LOCK", run_id="r1")
    aws.sfn.stop_execution(executionArn=arn)
    assert _reconcile(aws)["ended"] == ["r1"]
    record = aws.table.need("flights", "r1")
    assert (record.status, record.error and record.error.message) == ("failed", "The execution was stopped.")
    assert aws.table.item("flights", "LOCK") is None
    assert _reconcile(aws)["ended"] == []


def test_a_run_whose_execution_is_gone_is_failed(aws: Aws) -> None:
    aws.begin_run("r1", execution_arn=aws.execution_arn("r1"))
    assert _reconcile(aws)["ended"] == ["r1"]


def test_runs_at_work_and_runs_that_ended_are_left_alone(aws: Aws) -> None:
    _start(aws, "r1")
    aws.begin_run("r2", status="succeeded", execution_arn=aws.execution_arn("r2"))
    assert _reconcile(aws)["ended"] == []
    assert aws.table.need("flights", "r1").status == "running"


def test_a_run_that_changed_lately_is_left_to_its_own_event(aws: Aws) -> None:
    aws.begin_run("r1", execution_arn=aws.execution_arn("r1"))
    assert _reconcile(aws, grace_seconds=300)["ended"] == []
    changed = datetime.fromisoformat(aws.table.need("flights", "r1").updated_at)
    assert datetime.now(UTC) - changed < timedelta(seconds=300)
