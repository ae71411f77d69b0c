"""What functions print in the embedded metric format is in CloudWatch, and rings; broken lines stay log lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.test_laptop_alarms import put_alarm, state
from tests.laptop_platform import LaptopPlatform, unique, wait_for

POWERTOOLS = """
from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

metrics = Metrics(namespace="{namespace}", service="shop")

@metrics.log_metrics
def handler(event, context):
    for value in event["sold"]:
        metrics.add_metric(name="Sold", unit=MetricUnit.Count, value=value)
    metrics.add_metric(name="Faults", unit=MetricUnit.Count, value=event["faults"])
    with single_metric(name="Alone", unit=MetricUnit.Seconds, value=7, namespace="{namespace}") as metric:
        metric.add_dimension(name="Part", value="door")
    return "done"
"""


def invoke(aws: LaptopPlatform, function: str, event: Any) -> None:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()


def statistics(aws: LaptopPlatform, namespace: str, name: str, **dimensions: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=name, StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1),
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()], Period=86400,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )["Datapoints"]  # fmt: skip
    return points[0] if points else {}


def test_what_powertools_prints_is_in_cloudwatch_and_rings(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Shop")
    function = embedded_aws.create_function(POWERTOOLS.format(namespace=namespace))
    place = [{"Name": "service", "Value": "shop"}]
    alarm = put_alarm(embedded_aws, namespace, Dimensions=place, Period=60)
    invoke(embedded_aws, function, {"sold": [1, 2, 4], "faults": 1})
    found = wait_for(lambda: statistics(embedded_aws, namespace, "Sold", service="shop"))
    assert (found["Sum"], found["SampleCount"], found["Maximum"], found["Unit"]) == (7, 3, 4, "Count")
    assert statistics(embedded_aws, namespace, "Alone", Part="door")["Unit"] == "Seconds"
    assert not statistics(embedded_aws, namespace, "Sold", service="another")
    wait_for(lambda: state(embedded_aws, alarm) == "ALARM")


def test_a_broken_line_is_logged_and_gives_no_metric(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Shop")
    function = embedded_aws.create_function("def handler(event, context):\n    print(event['line'])\n")
    directive = {"Namespace": namespace, "Dimensions": [["Gone"]], "Metrics": [{"Name": "Sold"}]}
    moment = int(datetime.now(UTC).timestamp() * 1000)
    broken = json.dumps({"_aws": {"Timestamp": moment, "CloudWatchMetrics": [directive]}, "Sold": 1})
    sound = json.dumps(
        {"_aws": {"Timestamp": moment, "CloudWatchMetrics": [directive | {"Dimensions": []}]}, "Sold": 2}
    )
    invoke(embedded_aws, function, {"line": broken})
    invoke(embedded_aws, function, {"line": sound})
    assert wait_for(lambda: statistics(embedded_aws, namespace, "Sold"))["Sum"] == 2
    group = "/aws/lambda/" + function.rpartition(":")[2]
    events = embedded_aws.client("logs").filter_log_events(logGroupName=group)["events"]
    assert {broken, sound} <= {event["message"] for event in events}


def test_lines_of_any_log_count(embedded_aws: LaptopPlatform) -> None:
    namespace, logs, group = unique("Shop"), embedded_aws.client("logs"), unique("group")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    moment = int(datetime.now(UTC).timestamp() * 1000)
    directive = {"Namespace": namespace, "Metrics": [{"Name": "Sold"}]}
    message = json.dumps({"_aws": {"Timestamp": moment, "CloudWatchMetrics": [directive]}, "Sold": [1, 1]})
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": moment, "message": message}])
    assert statistics(embedded_aws, namespace, "Sold")["SampleCount"] == 2
