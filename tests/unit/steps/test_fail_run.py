"""A failed execution is explained in its run's record, and only there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passerelle.aws import clients
from passerelle.contracts.runs import RunError, StageRecord
from passerelle.settings import FailRunSettings
from passerelle.steps.explain_failure import explain
from passerelle.steps.fail_run import fail_run
from passerelle.steps.run_stages import begin_stage

from .world import MOMENT, Aws

SETTINGS = FailRunSettings(environment="laptop", runs_table="test-runs")
GROUP = "/aws/sagemaker/TrainingJobs"
LIMIT = (
    "The account-level service limit 'ml.g5.xlarge for spot training job usage' is 0 Instances, with current utilization "
    "of 0 Instances and a request delta of 1 Instances."
)


def _event(aws: Aws, attempt: int, **fields: Any) -> dict[str, Any]:
    """Start and stop an execution of attempt 2 of run r1; returns the event about `attempt`."""
    request = json.dumps({"project": "flights", "run_id": "r1", "attempt": attempt})
    arn = aws.sfn.start_execution(stateMachineArn=aws.pipeline, name="e", input=request)["executionArn"]
    aws.sfn.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    record = aws.begin_run(attempt=2, **fields)
    aws.table.save(begin_stage(record, "train", job_name="job-1"))
    aws.table.create("flights", "LOCK", run_id="r1")
    return {"detail": {"executionArn": arn, "input": request}}


def _error(aws: Aws) -> RunError:
    error = aws.table.need("flights", "r1").error
    assert error is not None
    return error


def _log(*streams: str) -> None:
    logs = clients.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    for number, stream in enumerate(streams):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        event = {"timestamp": 1_795_000_000_000 + number, "message": "line"}
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[event])


def test_a_stopped_execution_fails_its_run_and_frees_the_project(aws: Aws) -> None:
    assert fail_run(_event(aws, 2), SETTINGS)["outcome"] == "failed"
    assert aws.table.need("flights", "r1").status == "failed"
    error = _error(aws)
    assert (error.stage, error.message) == ("train", "The execution was stopped.")  # moto keeps no cause
    assert "passerelle runs retry r1" in error.remedy
    assert aws.table.item("flights", "LOCK") is None


def test_the_log_is_the_jobs_newest_stream_with_its_console_address(aws: Aws) -> None:
    _log("job-1/algo-1-100", "job-1/algo-1-200", "job-10/algo-1-300")
    fail_run(_event(aws, 2), SETTINGS)
    error = _error(aws)
    assert (error.log_group, error.log_stream) == (GROUP, "job-1/algo-1-200")
    assert error.log_url == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
        "$252Faws$252Fsagemaker$252FTrainingJobs/log-events/job-1$252Falgo-1-200"
    )


def test_a_job_that_never_wrote_a_line_has_no_stream_and_no_address(aws: Aws) -> None:
    fail_run(_event(aws, 2), SETTINGS)
    error = _error(aws)
    assert (error.log_group, error.log_stream, error.log_url) == (GROUP, None, None)


def test_a_log_that_may_not_be_read_does_not_hide_the_failure(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    event = _event(aws, 2)
    stubbed = clients.client("logs")

    def refuse(**_: Any) -> Any:
        raise stubbed.exceptions.ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeLogStreams")

    monkeypatch.setattr(stubbed, "describe_log_streams", refuse)
    assert fail_run(event, SETTINGS)["outcome"] == "failed"
    assert _error(aws).log_stream is None


def test_on_the_laptop_there_is_no_console_to_point_to(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    _log("job-1/algo-1-100")
    event = _event(aws, 2)
    monkeypatch.setattr(clients.client("logs").meta, "_endpoint_url", "http://127.0.0.1:4566")
    fail_run(event, SETTINGS)
    assert (_error(aws).log_stream, _error(aws).log_url) == ("job-1/algo-1-100", None)


def test_a_retry_that_ended_before_its_first_step_is_told_as_the_runs_last_attempt(aws: Aws) -> None:
    """Otherwise it would seem to wait for ever, and its name would block the next retry."""
    event = _event(aws, 3)
    aws.table.change("flights", "r1", lambda run: run.model_copy(update={"status": "failed"}))
    assert fail_run(event, SETTINGS)["outcome"] == "failed"
    record = aws.table.need("flights", "r1")
    assert (record.attempt, record.status, _error(aws).stage) == (3, "failed", "collect")


@pytest.mark.parametrize("attempt", [1, 3])
def test_another_attempts_execution_changes_nothing(aws: Aws, attempt: int) -> None:
    assert fail_run(_event(aws, attempt), SETTINGS)["outcome"] == "ignored"
    assert aws.table.need("flights", "r1").status == "running"


@pytest.mark.parametrize("status", ["succeeded", "refused", "rejected", "duplicate"])
def test_a_run_that_ended_well_stays_so_whatever_becomes_of_its_execution(aws: Aws, status: str) -> None:
    assert fail_run(_event(aws, 2, status=status), SETTINGS)["outcome"] == "ignored"
    assert aws.table.need("flights", "r1").status == status


def test_the_same_event_twice_says_the_same(aws: Aws) -> None:
    event = _event(aws, 2)
    fail_run(event, SETTINGS)
    first = _error(aws)
    assert fail_run(event, SETTINGS)["outcome"] == "failed"
    assert _error(aws) == first


def test_the_event_of_a_deployment_is_left_to_its_pipelines_own(aws: Aws) -> None:
    event = _event(aws, 2, execution_arn=aws.execution_arn("r1"))
    assert fail_run(event, SETTINGS) == {"outcome": "ignored", "why": "not the run's pipeline"}


def test_an_execution_that_was_redriven_meanwhile_is_left_alone(aws: Aws) -> None:
    request = json.dumps({"project": "flights", "run_id": "r1", "attempt": 1})
    arn = aws.sfn.start_execution(stateMachineArn=aws.pipeline, name="again", input=request)["executionArn"]
    aws.begin_run(execution_arn=arn)
    answer = fail_run({"detail": {"executionArn": arn, "input": request}}, SETTINGS)
    assert answer["why"] == "the execution was redriven"
    assert aws.table.need("flights", "r1").status == "running"


def test_a_retry_that_begins_while_the_failure_is_explained_keeps_its_lock(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = _event(aws, 2)

    def explain_slowly(*arguments: Any) -> RunError:
        aws.begin_run(attempt=3, status="collecting")
        return explain(*arguments)

    monkeypatch.setattr("passerelle.steps.fail_run.explain", explain_slowly)
    assert fail_run(event, SETTINGS)["why"] == "the next attempt has begun"
    assert (aws.table.need("flights", "r1").attempt, aws.table.need("flights", "r1").status) == (3, "collecting")
    assert aws.table.item("flights", "LOCK") is not None


def test_an_event_that_is_about_no_run_is_ignored(aws: Aws) -> None:
    assert fail_run({"detail": {"executionArn": "arn:x"}}, SETTINGS)["outcome"] == "ignored"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_that_fails_while_it_waits_leaves_no_batch_open(aws: Aws, recorded: bool) -> None:
    event = _event(aws, 2)
    aws.table.create("flights", "OPEN", run_id="r1")
    if not recorded:
        aws.table.delete("flights", "RUN#r1")
    fail_run(event, SETTINGS)
    assert aws.table.item("flights", "OPEN") is None


# The words


def _explain(aws: Aws, cause: str, stage: str = "train", **execution: Any) -> RunError:
    record = aws.begin_run(
        stages=(StageRecord.model_validate({"stage": stage, "status": "running", "started_at": MOMENT}),)
    )
    return explain(record, {"status": "FAILED", "cause": cause, **execution}, "prod")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (
            json.dumps({"errorType": "TransientError", "errorMessage": "MLflow is down"}),
            "TransientError: MLflow is down",
        ),
        (json.dumps({"TrainingJobName": "t", "FailureReason": "exit 137"}), "t: exit 137"),
        (json.dumps({"ProcessingJobName": "p", "ExitMessage": "no rows"}), "p: no rows"),
        (json.dumps({"ProcessingJobName": "p"}), "p: no reason was given"),
        (json.dumps({"Cause": json.dumps({"errorMessage": "inner", "errorType": "E"})}), "E: inner"),
        (json.dumps(["odd"]), '["odd"]'),
        ("plain words", "plain words"),
        ("", "The execution failed, and Step Functions says no reason."),
    ],
)
def test_a_cause_is_told_in_its_own_words(aws: Aws, cause: str, message: str) -> None:
    assert _explain(aws, cause).message == message


def test_an_execution_that_took_too_long_says_so(aws: Aws) -> None:
    assert "exceeded its time limit" in _explain(aws, "", status="TIMED_OUT").message


def test_a_quota_is_named_with_what_to_do_about_it(aws: Aws) -> None:
    error = _explain(aws, LIMIT)
    assert error.message == LIMIT
    assert "quota 'ml.g5.xlarge for spot training job usage' is 0" in error.remedy
    assert "Service Quotas" in error.remedy
    assert "passerelle runs retry r1" in error.remedy


def test_a_redriven_jobs_log_is_looked_for_under_the_name_it_has(aws: Aws) -> None:
    _log("flights-r1-train-1-1/algo-1-100")
    cause = json.dumps({"TrainingJobName": "flights-r1-train-1-1", "FailureReason": "exit 1"})
    assert _explain(aws, cause).log_stream == "flights-r1-train-1-1/algo-1-100"


def test_a_failed_deployment_points_to_the_endpoints_log(aws: Aws) -> None:
    error = _explain(aws, "no", stage="deploy")
    assert error.log_group == "/aws/sagemaker/Endpoints/passerelle-prod-flights"


def test_a_redrive_that_fails_at_once_is_told_at_the_stage_that_had_failed(aws: Aws) -> None:
    event = _event(aws, 2)
    for _ in range(2):
        fail_run(event, SETTINGS)
    assert _error(aws).stage == "train"


def test_an_execution_that_is_gone_is_said_to_be_gone(aws: Aws) -> None:
    assert "The execution is gone" in explain(aws.begin_run(), None, "prod").message
