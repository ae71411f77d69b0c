"""Step Functions on the laptop behaves as its users on AWS know it: redrive, aborts, timeouts, nested runs, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.laptop_platform import LaptopPlatform, unique, wait_for

FAIL_ONCE = """
import boto3
def handler(event, context):
    s3 = boto3.client("s3")
    key = event["key"]
    if s3.list_objects_v2(Bucket=event["bucket"], Prefix=key).get("KeyCount"):
        return {"attempt": "second", "seen": event}
    s3.put_object(Bucket=event["bucket"], Key=key, Body=b"")
    raise ValueError("the first attempt fails")
"""


def event_types(aws: LaptopPlatform, execution: str) -> list[str]:
    """Return the types of the events of an execution's history, in order."""
    history = aws.client("stepfunctions").get_execution_history(executionArn=execution)
    return [str(event["type"]) for event in history["events"]]


@pytest.fixture
def bucket(embedded_aws: LaptopPlatform) -> str:
    name = unique("bucket")
    embedded_aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def fails_once(embedded_aws: LaptopPlatform, bucket: str) -> tuple[str, dict[str, str]]:
    """A machine whose second state fails at its first attempt; with its input."""
    function = embedded_aws.create_function(FAIL_ONCE)
    machine = embedded_aws.create_machine(
        {
            "First": {"Type": "Pass", "Assign": {"kept": "{% $states.input.key %}"}, "Next": "Second"},
            "Second": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
                "Output": "{% {'payload': $states.result.Payload, 'kept': $kept} %}",
                "End": True,
            },
        }
    )
    return machine, {"bucket": bucket, "key": unique("key")}


def test_a_redriven_execution_goes_on_from_its_failed_state_under_the_same_arn(
    embedded_aws: LaptopPlatform, fails_once: tuple[str, dict[str, str]]
) -> None:
    machine, value = fails_once
    states = embedded_aws.client("stepfunctions")
    execution = embedded_aws.start(machine, value)
    failed = embedded_aws.finish(execution)
    assert (failed["status"], failed["error"]) == ("FAILED", "ValueError")
    assert (failed["redriveStatus"], failed["redriveCount"]) == ("REDRIVABLE", 0)

    assert states.redrive_execution(executionArn=execution)["redriveDate"]

    done = embedded_aws.finish(execution)
    assert done["status"] == "SUCCEEDED", done
    output = json.loads(done["output"])
    assert output["payload"] == {"attempt": "second", "seen": value}
    assert output["kept"] == value["key"], "variables of states before the failed one are kept"
    assert (done["executionArn"], done["redriveCount"]) == (execution, 1)
    types = event_types(embedded_aws, execution)
    assert types.count("PassStateEntered") == 1
    assert "ExecutionRedriven" in types


def test_an_execution_that_has_succeeded_cannot_be_redriven(embedded_aws: LaptopPlatform) -> None:
    execution = embedded_aws.start(embedded_aws.create_machine({"Only": {"Type": "Pass", "End": True}}))
    assert embedded_aws.finish(execution)["redriveStatus"] == "NOT_REDRIVABLE"
    with pytest.raises(ClientError) as refused:
        embedded_aws.client("stepfunctions").redrive_execution(executionArn=execution)
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"


def test_an_aborted_execution_stays_aborted_and_can_be_redriven_while_its_old_wait_still_sleeps(
    embedded_aws: LaptopPlatform,
) -> None:
    states = embedded_aws.client("stepfunctions")
    machine = embedded_aws.create_machine({"Sleep": {"Type": "Wait", "Seconds": 3, "Next": "Boom"}, "Boom": BOOM})
    execution = embedded_aws.start(machine)
    wait_for(lambda: "WaitStateEntered" in event_types(embedded_aws, execution))
    states.stop_execution(executionArn=execution, error="Enough", cause="a person said so")
    stopped = states.describe_execution(executionArn=execution)
    assert (stopped["status"], stopped["error"]) == ("ABORTED", "Enough")
    states.redrive_execution(executionArn=execution)
    assert embedded_aws.finish(execution)["status"] == "FAILED"
    types = event_types(embedded_aws, execution)
    assert types.count("FailStateEntered") == 1, "the thread of the aborted run must not go on as well"


BOOM: dict[str, Any] = {"Type": "Fail", "Error": "Boom", "Cause": "as asked"}


def test_a_task_that_fails_after_the_abort_does_not_turn_it_into_a_failure(embedded_aws: LaptopPlatform) -> None:
    function = embedded_aws.create_function(
        "import time\ndef handler(e, c):\n    time.sleep(1.5)\n    raise ValueError()"
    )
    machine = embedded_aws.create_machine({"Slow": _invoke(function)})
    states = embedded_aws.client("stepfunctions")
    execution = embedded_aws.start(machine)
    wait_for(lambda: "TaskScheduled" in event_types(embedded_aws, execution))
    states.stop_execution(executionArn=execution)
    wait_for(lambda: _in_flight_ended(embedded_aws, function))
    assert states.describe_execution(executionArn=execution)["status"] == "ABORTED"
    assert event_types(embedded_aws, execution)[-1] != "ExecutionFailed"


def _in_flight_ended(aws: LaptopPlatform, function: str) -> bool:
    name = function.rpartition(":")[2]
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    return bool(groups)


def _invoke(function: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        **({"End": True} if "Next" not in fields else {}),
        **fields,
    }


def test_the_timeout_of_a_state_machine_ends_an_execution_that_is_in_the_middle_of_a_state(
    embedded_aws: LaptopPlatform,
) -> None:
    machine = embedded_aws.create_machine({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}}, TimeoutSeconds=1)
    done = embedded_aws.finish(embedded_aws.start(machine))
    assert (done["status"], done["error"], done["redriveStatus"]) == ("TIMED_OUT", "States.Timeout", "REDRIVABLE")


def test_starting_the_running_execution_again_with_the_same_input_returns_it(embedded_aws: LaptopPlatform) -> None:
    states = embedded_aws.client("stepfunctions")
    machine = embedded_aws.create_machine({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}})
    first = states.start_execution(stateMachineArn=machine, name="same", input='{"a": 1}')
    again = states.start_execution(stateMachineArn=machine, name="same", input='{"a": 1}')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=machine, name="same", input='{"a": 2}')
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=machine, name="same", input='{"a": 1}')


def _nested(
    child: str, resource: str = "arn:aws:states:::states:startExecution.sync:2", **fields: Any
) -> dict[str, Any]:
    arguments = {"StateMachineArn": child, "Name": "{% $states.input.name %}", "Input": "{% $states.input %}"}
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True, **fields}


def test_a_nested_execution_is_one_of_its_own_and_hands_its_output_to_the_parent(embedded_aws: LaptopPlatform) -> None:
    child = embedded_aws.create_machine({"Answer": {"Type": "Pass", "Output": {"answer": 42}, "End": True}})
    name = unique("child")
    done = embedded_aws.finish(
        embedded_aws.start(embedded_aws.create_machine({"Call": _nested(child)}), {"name": name})
    )
    answer = json.loads(done["output"])
    assert (answer["Output"], answer["Status"], answer["Name"]) == ({"answer": 42}, "SUCCEEDED", name)
    listed = embedded_aws.client("stepfunctions").list_executions(stateMachineArn=child)["executions"]
    assert [item["name"] for item in listed] == [name]


def test_a_nested_execution_that_fails_fails_the_task_with_its_description_as_the_cause(
    embedded_aws: LaptopPlatform,
) -> None:
    child = embedded_aws.create_machine({"Boom": BOOM})
    done = embedded_aws.finish(
        embedded_aws.start(embedded_aws.create_machine({"Call": _nested(child)}), {"name": unique("child")})
    )
    assert (done["status"], done["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(done["cause"])
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Boom", "as asked")


def test_a_nested_execution_whose_name_is_taken_fails_with_the_name_that_aws_gives_the_error(
    embedded_aws: LaptopPlatform,
) -> None:
    child = embedded_aws.create_machine({"Only": {"Type": "Pass", "End": True}})
    parent = embedded_aws.create_machine({"Call": _nested(child)})
    value = {"name": unique("child")}
    assert embedded_aws.finish(embedded_aws.start(parent, value))["status"] == "SUCCEEDED"
    assert embedded_aws.finish(embedded_aws.start(parent, value))["error"] == (
        "StepFunctions.ExecutionAlreadyExistsException"
    )


def test_stopping_the_parent_stops_its_nested_execution(embedded_aws: LaptopPlatform) -> None:
    states = embedded_aws.client("stepfunctions")
    child = embedded_aws.create_machine({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}})
    parent = embedded_aws.start(embedded_aws.create_machine({"Call": _nested(child)}), {"name": unique("child")})
    wait_for(lambda: states.list_executions(stateMachineArn=child)["executions"])
    states.stop_execution(executionArn=parent)
    wait_for(lambda: states.list_executions(stateMachineArn=child)["executions"][0]["status"] == "ABORTED")


def test_a_failed_nested_execution_is_announced_on_the_event_bus(embedded_aws: LaptopPlatform) -> None:
    """The pipeline closes a failed run by this event, and its deployment is a nested execution."""
    queue = _queue_of_rule(embedded_aws, {"source": ["aws.states"], "detail": {"status": ["FAILED"]}})
    child = embedded_aws.create_machine({"Boom": BOOM})
    embedded_aws.start(embedded_aws.create_machine({"Call": _nested(child)}), {"name": unique("child")})
    received = embedded_aws.client("sqs")
    seen: set[str] = set()

    def both() -> bool:
        for message in received.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            seen.add(json.loads(message["Body"])["detail"]["stateMachineArn"])
        return child in seen

    wait_for(both)


def _queue_of_rule(aws: LaptopPlatform, pattern: dict[str, Any]) -> str:
    sqs, events, name = aws.client("sqs"), aws.client("events"), unique("rule")
    url = str(sqs.create_queue(QueueName=name)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def test_retry_with_jitter_and_a_longest_delay_tries_again_until_it_works(
    embedded_aws: LaptopPlatform, bucket: str
) -> None:
    retry = {
        "ErrorEquals": ["ValueError"],
        "IntervalSeconds": 1,
        "MaxDelaySeconds": 1,
        "BackoffRate": 10,
        "MaxAttempts": 3,
        "JitterStrategy": "FULL",
    }
    machine = embedded_aws.create_machine({"Try": _invoke(embedded_aws.create_function(FAIL_ONCE), Retry=[retry])})
    done = embedded_aws.finish(embedded_aws.start(machine, {"bucket": bucket, "key": unique("key")}))
    assert (done["status"], json.loads(done["output"])["attempt"]) == ("SUCCEEDED", "second")


def test_the_runtime_error_of_a_state_machine_is_not_caught_by_a_catch_all(embedded_aws: LaptopPlatform) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    broken = {"Type": "Task", "Resource": "arn:aws:states:::nothing:atAll", "Catch": catch, "End": True}
    machine = embedded_aws.create_machine({"Broken": broken, "Caught": {"Type": "Succeed"}})
    done = embedded_aws.finish(embedded_aws.start(machine))
    assert (done["status"], done["error"]) == ("FAILED", "States.Runtime")
