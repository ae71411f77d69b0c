"""EventBridge on the laptop names the version of an object, retries a delivery and uses dead-letter queues."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.laptop_platform import LaptopPlatform, unique, wait_for


@pytest.fixture
def queue(embedded_aws: LaptopPlatform) -> tuple[str, str]:
    """(url, ARN) of an empty queue."""
    return _queue(embedded_aws)


def _queue(aws: LaptopPlatform) -> tuple[str, str]:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return str(url), str(attributes["QueueArn"])


def _rule(aws: LaptopPlatform, pattern: dict[str, Any], **target: Any) -> str:
    name = unique("rule")
    events = aws.client("events")
    arn = str(events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"])
    assert events.put_targets(Rule=name, Targets=[{"Id": "target", **target}])["FailedEntryCount"] == 0
    return arn


def _messages(aws: LaptopPlatform, url: str, count: int = 1) -> list[dict[str, Any]]:
    sqs, found = aws.client("sqs"), []

    def enough() -> bool:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        found.extend(answer.get("Messages", ()))
        return len(found) >= count

    wait_for(enough)
    return found


def _put(aws: LaptopPlatform, source: str) -> None:
    entry = {"Source": source, "DetailType": "test", "Detail": '{"n": 1}'}
    assert aws.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_the_event_of_a_versioned_object_names_the_version_that_was_written(
    embedded_aws: LaptopPlatform, queue: tuple[str, str]
) -> None:
    bucket, s3 = unique("bucket"), embedded_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    _rule(embedded_aws, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, Arn=queue[1])
    written = [s3.put_object(Bucket=bucket, Key="a b/é.csv", Body=body)["VersionId"] for body in (b"one", b"two")]
    details = [json.loads(message["Body"])["detail"] for message in _messages(embedded_aws, queue[0], 2)]
    assert {detail["object"]["version-id"] for detail in details} == set(written)
    assert {detail["object"]["key"] for detail in details} == {"a b/é.csv"}


def test_an_object_of_an_unversioned_bucket_has_no_version_in_its_event(
    embedded_aws: LaptopPlatform, queue: tuple[str, str]
) -> None:
    bucket, s3 = unique("bucket"), embedded_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    _rule(embedded_aws, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, Arn=queue[1])
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert "version-id" not in json.loads(_messages(embedded_aws, queue[0])[0]["Body"])["detail"]["object"]


def test_an_event_that_its_target_does_not_take_ends_in_the_rules_dead_letter_queue(
    embedded_aws: LaptopPlatform, queue: tuple[str, str]
) -> None:
    source = unique("source")
    missing = "arn:aws:lambda:us-east-1:000000000000:function:gone"
    rule = _rule(embedded_aws, {"source": [source]}, Arn=missing, DeadLetterConfig={"Arn": queue[1]})
    _put(embedded_aws, source)
    message = _messages(embedded_aws, queue[0])[0]
    assert json.loads(message["Body"])["source"] == source
    attributes = {name: item["StringValue"] for name, item in message["MessageAttributes"].items()}
    assert (attributes["RULE_ARN"], attributes["TARGET_ARN"]) == (rule, missing)
    assert attributes["ERROR_CODE"] == "RESOURCE_NOT_FOUND"


def test_a_target_that_appears_between_the_attempts_gets_the_event(embedded_aws: LaptopPlatform) -> None:
    sqs, name, source = embedded_aws.client("sqs"), unique("late"), unique("source")
    _rule(embedded_aws, {"source": [source]}, Arn=f"arn:aws:sqs:us-east-1:000000000000:{name}")
    _put(embedded_aws, source)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    assert json.loads(_messages(embedded_aws, url)[0]["Body"])["source"] == source


def test_a_function_that_fails_is_retried_and_its_event_ends_in_the_functions_dead_letter_queue(
    embedded_aws: LaptopPlatform, queue: tuple[str, str]
) -> None:
    bucket, source = unique("bucket"), unique("source")
    embedded_aws.client("s3").create_bucket(Bucket=bucket)
    code = (
        "import boto3, uuid\n"
        "def handler(e, c):\n"
        f"    boto3.client('s3').put_object(Bucket='{bucket}', Key=uuid.uuid4().hex, Body=b'')\n"
        "    raise ValueError('no')\n"
    )
    function = embedded_aws.create_function(code, DeadLetterConfig={"TargetArn": queue[1]})
    embedded_aws.client("lambda").put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=1)
    _rule(embedded_aws, {"source": [source]}, Arn=function)
    _put(embedded_aws, source)
    message = _messages(embedded_aws, queue[0])[0]
    assert source in message["Body"]
    assert embedded_aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 2
