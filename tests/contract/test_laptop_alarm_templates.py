"""Alarms of templates on the laptop: metric math and composite alarms are real, and ring."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.test_laptop_alarm_actions import composite_state, put_part
from tests.contract.test_laptop_alarms import wait_for_state
from tests.laptop_platform import LaptopPlatform, unique, wait_for


def deploy(aws: LaptopPlatform, stack: str, resources: dict[str, Any], *, update: bool = False) -> str:
    """Create or update a stack; returns its status, and why it failed."""
    cloudformation = aws.client("cloudformation")
    operation = cloudformation.update_stack if update else cloudformation.create_stack
    operation(StackName=stack, TemplateBody=json.dumps({"Resources": resources}))

    def ended() -> str:
        status = str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        return "" if status.endswith("IN_PROGRESS") else status

    status = str(wait_for(ended))
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return status + "".join(f" {event.get('ResourceStatusReason', '')}" for event in events if "FAILED" in str(event))


def alarms(namespace: str, *, expression: str = "100 * errors / requests", rule: str = "ALARM") -> dict[str, Any]:
    def stat(id_: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": "Part", "Value": "one"}]}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": "60", "Stat": "Sum"}, "ReturnData": "false"}

    queries = [{"Id": "rate", "Expression": expression}, stat("errors", "Errors"), stat("requests", "Requests")]
    return {
        "Rate": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Metrics": queries, "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching"}},
        "Sum": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {
            "AlarmRule": {"Fn::Join": ["", [f'{rule}("', {"Fn::GetAtt": ["Rate", "Arn"]}, '")']]}}},
    }  # fmt: skip


def test_a_stacks_composite_alarm_rings_with_its_alarm_on_metric_math_and_goes_with_the_stack(
    embedded_aws: LaptopPlatform,
) -> None:
    stack, namespace = unique("alarms"), unique("Alarms")
    assert deploy(embedded_aws, stack, alarms(namespace)) == "CREATE_COMPLETE"
    cloudformation = embedded_aws.client("cloudformation")
    found = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    names = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found}
    wait_for_state(embedded_aws, names["Rate"], "OK")
    put_part(embedded_aws, namespace, Requests=100, Errors=9)
    wait_for_state(embedded_aws, names["Rate"], "ALARM")
    wait_for(lambda: composite_state(embedded_aws, names["Sum"]) == "ALARM")
    assert deploy(embedded_aws, stack, alarms(namespace, rule="OK"), update=True) == "UPDATE_COMPLETE"
    wait_for(lambda: composite_state(embedded_aws, names["Sum"]) == "OK")
    cloudformation.delete_stack(StackName=stack)
    kinds = ["MetricAlarm", "CompositeAlarm"]
    describe = embedded_aws.client("cloudwatch").describe_alarms

    def gone() -> bool:
        answer = describe(AlarmNames=list(names.values()), AlarmTypes=kinds)
        return not answer["MetricAlarms"] and not answer["CompositeAlarms"]

    wait_for(gone)


def test_a_stack_with_an_alarm_that_would_never_be_judged_fails_and_says_why(embedded_aws: LaptopPlatform) -> None:
    status = deploy(embedded_aws, unique("alarms"), alarms("n", expression="RATE(errors)"))
    assert status.startswith("ROLLBACK_COMPLETE")
    assert "RATE(errors)" in status
