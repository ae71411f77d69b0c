"""Alarms of the embedded CloudWatch as boto3 puts them: what they tell, metric math, composite alarms, refusals."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.test_laptop_alarms import put, put_alarm, wait_for_state
from tests.laptop_platform import LaptopPlatform, unique, wait_for

RATE: list[dict[str, Any]] = [
    {"Id": "rate", "Expression": "100 * errors / FILL(requests, 1)", "Label": "errors in percent"},
]


def topic(aws: LaptopPlatform) -> tuple[str, str]:
    """(ARN of a topic, URL of the queue that gets what is published there)."""
    sqs, sns = aws.client("sqs"), aws.client("sns")
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    arn = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    return str(arn), str(url)


def told(aws: LaptopPlatform, url: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many notifications, then return all that are there."""
    sqs, found = aws.client("sqs"), []

    def receive() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            body = json.loads(message["Body"])
            found.append(json.loads(body["Message"]) | {"Subject": body["Subject"]})
        return len(found) >= count

    if count:
        wait_for(receive)
    receive()
    return found


def metrics(namespace: str) -> list[dict[str, Any]]:
    def stat(id_: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": "Part", "Value": "one"}]}
        return {
            "Id": id_,
            "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"},
            "ReturnData": False,
        }

    return [*RATE, stat("errors", "Errors"), stat("requests", "Requests")]


def put_math(aws: LaptopPlatform, queries: list[dict[str, Any]], **changes: Any) -> str:
    name = unique("math")
    rule = {"EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "Metrics": queries}
    aws.client("cloudwatch").put_metric_alarm(AlarmName=name, **(rule | changes))
    return name


def put_part(aws: LaptopPlatform, namespace: str, **values: float) -> None:
    part = [{"Name": "Part", "Value": "one"}]
    data = [{"MetricName": name, "Value": value, "Dimensions": part} for name, value in values.items()]
    aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def composite(aws: LaptopPlatform, rule: str, **changes: Any) -> str:
    name = unique("composite")
    aws.client("cloudwatch").put_composite_alarm(AlarmName=name, AlarmRule=rule, **changes)
    return name


def composite_state(aws: LaptopPlatform, name: str) -> str:
    found = aws.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    return str(found["CompositeAlarms"][0]["StateValue"])


def set_state(aws: LaptopPlatform, alarm: str, value: str) -> None:
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=value, StateReason="a drill")


def test_a_topic_is_told_each_change_once_in_the_words_of_cloudwatch(embedded_aws: LaptopPlatform) -> None:
    (arn, url), namespace = topic(embedded_aws), unique("Alarms")
    mine = [{"Name": "Endpoint", "Value": "mine"}]
    alarm = put_alarm(
        embedded_aws, namespace, Period=10, TreatMissingData="notBreaching", Dimensions=mine, AlarmActions=[arn],
        OKActions=[arn], AlarmDescription="what to do",
    )  # fmt: skip
    wait_for_state(embedded_aws, alarm, "OK")
    put(embedded_aws, namespace, 2.0, Dimensions=mine)
    wait_for_state(embedded_aws, alarm, "ALARM")
    for _ in range(2):
        put(embedded_aws, namespace, 2.0, Dimensions=mine)
    wait_for_state(embedded_aws, alarm, "OK")
    found = told(embedded_aws, url, 3)
    assert [(item["OldStateValue"], item["NewStateValue"]) for item in found] == [
        ("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK")
    ]  # fmt: skip
    message = found[1]
    assert message["Subject"] == f'ALARM: "{alarm}" in US East (N. Virginia)'
    assert message["AlarmArn"].endswith(f":alarm:{alarm}")
    assert (message["AlarmDescription"], message["Region"]) == ("what to do", "US East (N. Virginia)")
    assert (message["AlarmActions"], message["OKActions"], message["InsufficientDataActions"]) == ([arn], [arn], [])
    assert message["NewStateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [2.0 (")
    assert message["NewStateReason"].endswith(
        "was greater than or equal to the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert message["StateChangeTime"].endswith("+0000")
    assert message["Trigger"] == {
        "MetricName": "Faults", "Namespace": namespace, "StatisticType": "Statistic", "Statistic": "SUM", "Unit": None,
        "Dimensions": [{"value": "mine", "name": "Endpoint"}], "Period": 10, "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 1.0, "TreatMissingData": "notBreaching",
        "EvaluateLowSampleCountPercentile": "",
    }  # fmt: skip


def test_a_state_and_its_history_say_by_which_datapoints(embedded_aws: LaptopPlatform) -> None:
    namespace, cloudwatch = unique("Alarms"), embedded_aws.client("cloudwatch")
    alarm = put_alarm(embedded_aws, namespace, Statistic="Maximum")
    put(embedded_aws, namespace, 3.0)
    wait_for_state(embedded_aws, alarm, "ALARM")
    (found,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    data = json.loads(found["StateReasonData"])
    assert (data["statistic"], data["period"], data["threshold"], data["recentDatapoints"]) == ("Maximum", 10, 1, [3])
    assert data["evaluatedDatapoints"][0]["sampleCount"] == 1
    assert abs(found["StateUpdatedTimestamp"].timestamp() - time.time()) < 30
    items = cloudwatch.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    new = [json.loads(item["HistoryData"])["newState"] for item in items if "to ALARM" in item["HistorySummary"]]
    assert [item["stateReasonData"]["recentDatapoints"] for item in new] == [[3]]


def test_an_alarm_whose_actions_are_off_changes_and_tells_nobody(embedded_aws: LaptopPlatform) -> None:
    (arn, url), namespace = topic(embedded_aws), unique("Alarms")
    alarm = put_alarm(embedded_aws, namespace, Period=5, AlarmActions=[arn], InsufficientDataActions=[arn],
                      ActionsEnabled=False)  # fmt: skip
    put(embedded_aws, namespace, 2.0)
    wait_for_state(embedded_aws, alarm, "ALARM")
    embedded_aws.client("cloudwatch").enable_alarm_actions(AlarmNames=[alarm])
    wait_for_state(embedded_aws, alarm, "INSUFFICIENT_DATA")
    assert [item["NewStateValue"] for item in told(embedded_aws, url, 1)] == ["INSUFFICIENT_DATA"]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ({"Statistic": "Sum"}, 10.0),
        ({"Statistic": "Average"}, 2.5),
        ({"Statistic": "Minimum"}, 1.0),
        ({"Statistic": "Maximum"}, 4.0),
        ({"Statistic": "SampleCount"}, 4.0),
        ({"ExtendedStatistic": "p50"}, 2.5),
    ],
)
def test_each_statistic_is_that_of_the_values_of_one_period(
    embedded_aws: LaptopPlatform, statistic: dict[str, str], expected: float
) -> None:
    namespace, name = unique("Alarms"), unique("alarm")
    data = {"MetricName": "Faults", "Values": [1.0, 2.0, 3.0, 4.0]}
    embedded_aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[data])
    embedded_aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name, MetricName="Faults", Namespace=namespace, Period=60, EvaluationPeriods=1, Threshold=expected,
        ComparisonOperator="GreaterThanOrEqualToThreshold", **statistic,
    )  # fmt: skip
    wait_for_state(embedded_aws, name, "ALARM")
    (found,) = embedded_aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [expected]


def test_only_values_of_the_alarms_unit_count(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Alarms")
    alarm = put_alarm(embedded_aws, namespace, Unit="Seconds", TreatMissingData="notBreaching")
    put(embedded_aws, namespace, 1.0, Unit="Count")
    wait_for_state(embedded_aws, alarm, "OK")
    put(embedded_aws, namespace, 1.0, Unit="Seconds")
    wait_for_state(embedded_aws, alarm, "ALARM")


def test_a_late_value_does_not_hide_those_before_it(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Alarms")
    put(embedded_aws, namespace, 2.0)
    put(embedded_aws, namespace, 0.0, Timestamp=time.time() - 7200)
    alarm = put_alarm(embedded_aws, namespace, Period=60)
    wait_for_state(embedded_aws, alarm, "ALARM")


def test_an_alarm_on_metric_math_rings_and_is_described_as_it_was_put(embedded_aws: LaptopPlatform) -> None:
    (arn, url), namespace = topic(embedded_aws), unique("Alarms")
    queries = metrics(namespace)
    alarm = put_math(embedded_aws, queries, AlarmActions=[arn])
    put_part(embedded_aws, namespace, Requests=100, Errors=4)
    wait_for_state(embedded_aws, alarm, "OK")
    put_part(embedded_aws, namespace, Errors=4)
    wait_for_state(embedded_aws, alarm, "ALARM")
    (found,) = embedded_aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    assert found["Metrics"] == queries
    assert not {"MetricName", "Namespace", "Period", "Statistic"} & found.keys()
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [8.0]
    trigger = told(embedded_aws, url, 1)[0]["Trigger"]
    assert "MetricName" not in trigger
    assert [query["Id"] for query in trigger["Metrics"]] == ["rate", "errors", "requests"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "no anomaly detection"),
        ({"ExtendedStatistic": "tm90", "Statistic": None}, "does not compute the statistic tm90"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"TreatMissingData": "sometimes"}, "TreatMissingData"),
    ],
)
def test_an_alarm_that_would_never_be_judged_is_refused(
    embedded_aws: LaptopPlatform, changes: dict[str, Any], words: str
) -> None:
    rule = {"Statistic": "Sum", **changes}
    with pytest.raises(ClientError, match=words) as refused:
        embedded_aws.client("cloudwatch").put_metric_alarm(
            AlarmName="refused", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1.0,
            **{"ComparisonOperator": "GreaterThanThreshold"} | {key: item for key, item in rule.items() if item},
        )  # fmt: skip
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert not embedded_aws.client("cloudwatch").describe_alarms(AlarmNames=["refused"])["MetricAlarms"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [("RATE(errors)", "RATE"), ("errors / other", "other"), ("rate + 1", "rate"), ("errors +", "Error in expression")],
)
def test_metric_math_that_is_not_evaluated_is_refused(
    embedded_aws: LaptopPlatform, expression: str, words: str
) -> None:
    queries = [{"Id": "rate", "Expression": expression}, *metrics("n")[1:]]
    with pytest.raises(ClientError, match=words):
        put_math(embedded_aws, queries)


def test_a_composite_alarm_follows_its_rule_and_tells_each_change_once(embedded_aws: LaptopPlatform) -> None:
    (arn, url), namespace = topic(embedded_aws), unique("Alarms")
    one, two = (put_alarm(embedded_aws, namespace, Period=60, TreatMissingData="ignore") for _ in range(2))
    place = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:"
    rule = f'(ALARM("{one}") OR ALARM({place}{two})) AND NOT INSUFFICIENT_DATA({two}) AND TRUE'
    name = composite(embedded_aws, rule, AlarmActions=[arn], OKActions=[arn], AlarmDescription="the sum")
    assert composite_state(embedded_aws, name) == "OK"
    set_state(embedded_aws, one, "ALARM")
    assert composite_state(embedded_aws, name) == "OK", "of the other one nothing is known yet"
    set_state(embedded_aws, two, "ALARM")
    assert composite_state(embedded_aws, name) == "ALARM"
    set_state(embedded_aws, one, "OK")
    assert composite_state(embedded_aws, name) == "ALARM"
    set_state(embedded_aws, two, "OK")
    assert composite_state(embedded_aws, name) == "OK"
    found = told(embedded_aws, url, 3)
    assert [item["NewStateValue"] for item in found] == ["OK", "ALARM", "OK"]
    assert (found[1]["AlarmRule"], found[1]["AlarmDescription"]) == (rule, "the sum")
    assert found[1]["TriggeringChildren"][0]["Arn"] == f"{place}{two}"
    assert found[1]["TriggeringChildren"][0]["State"]["Value"] == "ALARM"
    assert "Trigger" not in found[1]


def test_a_composite_alarm_rings_when_a_metric_of_one_of_its_alarms_breaches(embedded_aws: LaptopPlatform) -> None:
    namespace = unique("Alarms")
    alarm = put_alarm(embedded_aws, namespace, TreatMissingData="notBreaching")
    name = composite(embedded_aws, f"ALARM({alarm})")
    above = composite(embedded_aws, f'ALARM("{name}") AND NOT FALSE')
    put(embedded_aws, namespace, 1.0)
    wait_for(lambda: {composite_state(embedded_aws, one) for one in (name, above)} == {"ALARM"})


@pytest.mark.parametrize(
    ("rule", "changes", "words"),
    [
        ('ALARM("nobody")', {}, "do not exist"),
        ("ALARM(", {}, "AlarmRule"),
        ("TRUE", {"ActionsSuppressor": "a", "ActionsSuppressorWaitPeriod": 1, "ActionsSuppressorExtensionPeriod": 1},
         "does not evaluate ActionsSuppressor"),
    ],
)  # fmt: skip
def test_a_composite_alarm_that_cannot_be_evaluated_is_refused(
    embedded_aws: LaptopPlatform, rule: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        composite(embedded_aws, rule, **changes)


def test_a_function_may_be_an_alarms_action(embedded_aws: LaptopPlatform) -> None:
    bucket, namespace = unique("bucket"), unique("Alarms")
    s3 = embedded_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    code = (
        "import boto3, json\n"
        f"def handler(e, c): boto3.client('s3').put_object(Bucket='{bucket}', Key='e', Body=json.dumps(e).encode())\n"
    )
    alarm = put_alarm(embedded_aws, namespace, AlarmActions=[embedded_aws.create_function(code)])
    put(embedded_aws, namespace, 1.0)
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"])
    data = json.loads(s3.get_object(Bucket=bucket, Key="e")["Body"].read())["alarmData"]
    assert (data["alarmName"], data["state"]["value"]) == (alarm, "ALARM")
    assert data["configuration"]["metrics"][0]["metricStat"]["stat"] == "Sum"
