"""Functions on the laptop fail, log, count and wait as on AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.laptop_platform import LaptopPlatform, unique, wait_for

RAISING = """
class TransientError(Exception):
    pass
def handler(event, context):
    print("about to fail", event)
    raise TransientError("the database: is busy \\u00e9")
"""


def _state(function: str, **fields: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, "End": True, **fields}


def test_the_exceptions_class_message_and_trace_reach_a_catch_by_class(embedded_aws: LaptopPlatform) -> None:
    caught = [{"ErrorEquals": ["TransientError"], "Output": "{% $states.errorOutput %}", "Next": "Caught"}]
    state = _state(embedded_aws.create_function(RAISING), Catch=caught)
    machine = embedded_aws.create_machine({"Call": state, "Caught": {"Type": "Succeed"}})
    done = embedded_aws.finish(embedded_aws.start(machine))
    assert done["status"] == "SUCCEEDED", done
    error = json.loads(done["output"])
    cause = json.loads(error["Cause"])
    assert error["Error"] == cause["errorType"] == "TransientError"
    assert cause["errorMessage"] == "the database: is busy é"
    assert any("in handler" in line for line in cause["stackTrace"])


def test_an_error_of_another_class_is_not_caught(embedded_aws: LaptopPlatform) -> None:
    caught = [{"ErrorEquals": ["ValueError"], "Next": "Caught"}]
    state = _state(embedded_aws.create_function(RAISING), Catch=caught)
    machine = embedded_aws.create_machine({"Call": state, "Caught": {"Type": "Succeed"}})
    assert embedded_aws.finish(embedded_aws.start(machine))["error"] == "TransientError"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_package\ndef handler(e, c): return 1", "Runtime.ImportModuleError"),
        ("import os\ndef handler(e, c): os._exit(3)", "Runtime.ExitError"),
        ("def handler(e, c): return {}['missing']", "KeyError"),
    ],
)
def test_a_direct_invocation_tells_the_error_as_aws_names_it(
    embedded_aws: LaptopPlatform, code: str, error: str
) -> None:
    answer = embedded_aws.client("lambda").invoke(FunctionName=embedded_aws.create_function(code))
    assert answer["FunctionError"]
    assert json.loads(answer["Payload"].read())["errorType"] == error


def test_what_a_function_prints_and_logs_is_in_its_log_group(embedded_aws: LaptopPlatform) -> None:
    name = unique("function")
    code = (
        "import logging, sys\n"
        "def handler(e, c):\n"
        "    print('to stdout')\n    print('to stderr', file=sys.stderr)\n    logging.warning('through logging')\n"
    )
    embedded_aws.create_function(code, FunctionName=name)
    embedded_aws.client("lambda").invoke(FunctionName=name)
    events = embedded_aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    text = "\n".join(event["message"] for event in events)
    assert all(word in text for word in ("to stdout", "to stderr", "through logging", "START RequestId", "REPORT"))


def test_an_invocation_by_a_state_machine_counts_once_in_the_metrics(embedded_aws: LaptopPlatform) -> None:
    name = unique("function")
    function = embedded_aws.create_function("def handler(e, c): return 1", FunctionName=name)
    embedded_aws.finish(embedded_aws.start(embedded_aws.create_machine({"Call": _state(function)})))
    embedded_aws.client("lambda").invoke(FunctionName=name)
    assert _sum(embedded_aws, name, "Invocations") == 2
    assert _sum(embedded_aws, name, "Errors") == 0


def _sum(aws: LaptopPlatform, function: str, metric: str) -> float:
    moment = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda", MetricName=metric, Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=moment - timedelta(hours=1), EndTime=moment + timedelta(hours=1), Period=7200, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    return sum(point["Sum"] for point in points)


def test_events_wait_for_a_function_that_is_busy_and_none_is_lost(embedded_aws: LaptopPlatform) -> None:
    client, bucket = embedded_aws.client("lambda"), unique("bucket")
    embedded_aws.client("s3").create_bucket(Bucket=bucket)
    code = (
        "import boto3, time\n"
        "def handler(e, c):\n"
        "    time.sleep(1.2)\n"
        f"    boto3.client('s3').put_object(Bucket='{bucket}', Key=str(e['n']), Body=b'')\n"
    )
    function = embedded_aws.create_function(code)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    for number in range(5):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"n": number}))
    s3 = embedded_aws.client("s3")
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket).get("KeyCount") == 5)
