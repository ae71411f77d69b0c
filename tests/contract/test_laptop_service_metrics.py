"""What alarms of the platform's templates read is measured on the laptop: executions, waiting messages, log lines."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.contract.test_laptop_alarms import put_alarm, state
from tests.contract.test_laptop_embedded_metrics import invoke, statistics
from tests.laptop_platform import LaptopPlatform, unique, wait_for


def test_an_alarm_rings_while_a_message_waits_in_a_queue_and_goes_out_when_it_is_taken(
    embedded_aws: LaptopPlatform,
) -> None:
    sqs, name = embedded_aws.client("sqs"), unique("queue")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    alarm = put_alarm(
        embedded_aws, "AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible", Statistic="Maximum", Period=15,
        Dimensions=[{"Name": "QueueName", "Value": name}], TreatMissingData="notBreaching",
    )  # fmt: skip
    sqs.send_message(QueueUrl=url, MessageBody="given up")
    wait_for(lambda: state(embedded_aws, alarm) == "ALARM")
    sqs.purge_queue(QueueUrl=url)
    wait_for(lambda: state(embedded_aws, alarm) == "OK")


@pytest.mark.parametrize(("end", "metric"), [("Succeed", "ExecutionsSucceeded"), ("Fail", "ExecutionsFailed")])
def test_executions_are_counted_by_how_they_end(embedded_aws: LaptopPlatform, end: str, metric: str) -> None:
    arn = embedded_aws.create_machine({"End": {"Type": end}})
    for _ in range(2):
        embedded_aws.finish(embedded_aws.start(arn))
    count = lambda name: statistics(embedded_aws, "AWS/States", name, StateMachineArn=arn).get("Sum")  # noqa: E731
    wait_for(lambda: count(metric) == 2)
    assert count("ExecutionsStarted") == 2
    assert count("ExecutionTime") > 0


def test_a_metric_filter_makes_a_metric_of_what_a_function_logs(embedded_aws: LaptopPlatform) -> None:
    namespace, logs = unique("Logs"), embedded_aws.client("logs")
    function = embedded_aws.create_function("import json\ndef handler(e, c):\n    print(json.dumps(e))\n")
    group = "/aws/lambda/" + function.rpartition(":")[2]
    logs.create_log_group(logGroupName=group)
    rule = {"metricName": "Broken", "metricNamespace": namespace, "metricValue": "$.answer.broken"}
    logs.put_metric_filter(
        logGroupName=group, filterName="f", filterPattern="{ $.answer.broken > 0 }", metricTransformations=[rule]
    )
    for broken in (0, 2, 3):
        invoke(embedded_aws, function, {"answer": {"broken": broken}})
    found = wait_for(lambda: statistics(embedded_aws, namespace, "Broken"))
    assert (found["Sum"], found["SampleCount"]) == (5, 2)


def test_a_metric_filter_that_would_never_match_is_refused(embedded_aws: LaptopPlatform) -> None:
    logs, group = embedded_aws.client("logs"), unique("group")
    logs.create_log_group(logGroupName=group)
    rule = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    with pytest.raises(ClientError, match="space-delimited"):
        logs.put_metric_filter(
            logGroupName=group, filterName="f", filterPattern="[ip, user]", metricTransformations=[rule]
        )
    assert json.dumps(logs.describe_metric_filters(logGroupName=group)["metricFilters"]) == "[]"
