"""Schedules of EventBridge Scheduler really fire on the laptop: from requests and templates, at every kind of target."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.platform import down, up
from tests.contract.test_laptop_alarm_templates import deploy
from tests.laptop_platform import ROLE, LaptopPlatform, running_platform, unique, wait_for

EVERY_MINUTE = "cron(* * * * ? *)"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:sfn:startExecution"


def at(seconds: float = 1.0, zone: timedelta = timedelta(0)) -> str:
    return f"at({datetime.now(UTC) + timedelta(seconds=seconds) + zone:%Y-%m-%dT%H:%M:%S})"


def create(aws: LaptopPlatform, expression: str, arn: str, value: Any = None, **options: Any) -> str:
    name, target = unique("schedule"), {"Arn": arn, "RoleArn": ROLE}
    aws.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target if value is None else target | {"Input": json.dumps(value)},
        **options,
    )
    return name


def machine(aws: LaptopPlatform) -> str:
    return aws.create_machine({"End": {"Type": "Succeed"}})


def inputs(aws: LaptopPlatform, arn: str) -> list[Any]:
    states = aws.client("stepfunctions")
    found = states.list_executions(stateMachineArn=arn)["executions"]
    return [json.loads(states.describe_execution(executionArn=item["executionArn"])["input"]) for item in found]


def queue(aws: LaptopPlatform) -> tuple[str, str]:
    """(url, ARN) of an empty queue."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_a_moment_fires_once_at_a_state_machine_in_the_time_zone_that_it_names(embedded_aws: LaptopPlatform) -> None:
    arn = machine(embedded_aws)
    name = create(
        embedded_aws, at(zone=timedelta(hours=9)), arn, {"at": "<aws.scheduler.schedule-arn>"},
        ScheduleExpressionTimezone="Asia/Tokyo",
    )  # fmt: skip
    wait_for(lambda: inputs(embedded_aws, arn))
    assert inputs(embedded_aws, arn) == [{"at": f"arn:aws:scheduler:us-east-1:000000000000:schedule/default/{name}"}]
    found = embedded_aws.client("scheduler").get_schedule(Name=name)
    assert (found["State"], found["ScheduleExpressionTimezone"]) == ("ENABLED", "Asia/Tokyo")


def test_a_schedule_of_cron_a_rate_and_a_universal_target_fire_and_a_disabled_one_does_not(
    embedded_aws: LaptopPlatform,
) -> None:
    bucket, s3 = unique("bucket"), embedded_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    code = (
        "import boto3, json\n"
        f"def handler(e, c): boto3.client('s3').put_object(Bucket='{bucket}', Key='e', Body=json.dumps(e).encode())\n"
    )
    by_cron, by_universal, never = (machine(embedded_aws) for _ in range(3))
    create(embedded_aws, EVERY_MINUTE, never, {}, State="DISABLED")
    create(embedded_aws, EVERY_MINUTE, by_cron, {"by": "cron"}, ScheduleExpressionTimezone="Europe/Zurich")
    create(embedded_aws, EVERY_MINUTE, UNIVERSAL, {"StateMachineArn": by_universal, "Input": '{"by": "universal"}'})
    create(embedded_aws, "rate(5 minutes)", embedded_aws.create_function(code),
           StartDate=datetime.now(UTC) + timedelta(seconds=1))  # fmt: skip
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"])
    event = json.loads(s3.get_object(Bucket=bucket, Key="e")["Body"].read())
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    wait_for(lambda: inputs(embedded_aws, by_cron) and inputs(embedded_aws, by_universal), seconds=300)
    assert inputs(embedded_aws, by_cron)[0] == {"by": "cron"}
    assert inputs(embedded_aws, by_universal)[0] == {"by": "universal"}
    assert inputs(embedded_aws, never) == []


def test_a_schedule_goes_when_it_has_fired_if_it_says_so(embedded_aws: LaptopPlatform) -> None:
    arn = machine(embedded_aws)
    name = create(embedded_aws, at(), arn, {}, ActionAfterCompletion="DELETE")
    wait_for(lambda: inputs(embedded_aws, arn))
    scheduler = embedded_aws.client("scheduler")
    wait_for(lambda: name not in [item["Name"] for item in scheduler.list_schedules()["Schedules"]])


@pytest.mark.parametrize("target", ["arn:aws:states:us-east-1:000000000000:stateMachine:gone-long-ago", UNIVERSAL])
def test_what_its_target_does_not_take_ends_in_the_dead_letter_queue(embedded_aws: LaptopPlatform, target: str) -> None:
    url, dead_letters = queue(embedded_aws)
    name = unique("schedule")
    missing = "arn:aws:states:us-east-1:000000000000:stateMachine:gone"
    embedded_aws.client("scheduler").create_schedule(
        Name=name, ScheduleExpression=at(), FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": target, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": dead_letters},
                "Input": json.dumps({"StateMachineArn": missing})},
    )  # fmt: skip
    sqs = embedded_aws.client("sqs")
    receive = lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")  # noqa: E731
    (message,) = wait_for(receive)
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == target
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"]


@pytest.mark.parametrize(
    ("expression", "zone"), [("rate(5 seconds)", "UTC"), ("cron(0 6 * * *)", "UTC"), (EVERY_MINUTE, "Mars/Olympus")]
)
def test_a_schedule_that_would_never_fire_is_refused(embedded_aws: LaptopPlatform, expression: str, zone: str) -> None:
    with pytest.raises(ClientError, match="Invalid Schedule Expression") as refused:
        create(embedded_aws, expression, machine(embedded_aws), {}, ScheduleExpressionTimezone=zone)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def schedule(expression: str, arn: str, **properties: Any) -> dict[str, Any]:
    target = {"Arn": arn, "RoleArn": ROLE, "Input": '{"by": "template"}'}
    fixed = {"FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target, "ScheduleExpression": expression}
    return {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": fixed | properties}}


def test_a_schedule_of_a_template_keeps_its_time_zone_and_fires_when_it_is_changed(
    embedded_aws: LaptopPlatform,
) -> None:
    stack, arn, zone = unique("schedules"), machine(embedded_aws), {"ScheduleExpressionTimezone": "Asia/Tokyo"}
    later = schedule("cron(0 6 * * ? *)", arn, EndDate="2100-01-01T00:00:00Z", State="DISABLED", **zone)
    assert deploy(embedded_aws, stack, later) == "CREATE_COMPLETE"
    (resource,) = embedded_aws.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    found = embedded_aws.client("scheduler").get_schedule(Name=resource["PhysicalResourceId"])
    assert (found["ScheduleExpressionTimezone"], found["State"], found["EndDate"].year) == (
        "Asia/Tokyo", "DISABLED", 2100
    )  # fmt: skip
    now = schedule(at(2, timedelta(hours=9)), arn, **zone)
    assert deploy(embedded_aws, stack, now, update=True) == "UPDATE_COMPLETE"
    wait_for(lambda: inputs(embedded_aws, arn) == [{"by": "template"}])


def test_a_template_with_a_schedule_that_would_never_fire_fails_and_says_why(embedded_aws: LaptopPlatform) -> None:
    status = deploy(embedded_aws, unique("schedules"), schedule("every day", machine(embedded_aws)))
    assert status.startswith("ROLLBACK_COMPLETE")
    assert "Invalid Schedule Expression every day." in status


def test_what_has_fired_does_not_fire_again_after_a_restart_and_what_was_missed_fires_once() -> None:
    with running_platform(tracking_server=False) as aws:
        fired, missed = machine(aws), machine(aws)
        create(aws, at(), fired, {})
        expression = at(8)
        create(aws, expression, missed, {})
        wait_for(lambda: inputs(aws, fired))
        down(aws.settings)
        wait_for(lambda: at(0) > expression)
        up(aws.settings, tracking_server=False)
        wait_for(lambda: inputs(aws, missed))
        assert (len(inputs(aws, fired)), len(inputs(aws, missed))) == (1, 1)
