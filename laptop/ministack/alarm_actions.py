"""What an alarm does when its state changes: CloudWatch's own message to SNS topics, its event to Lambda functions.

MiniStack sends a shorter message, the same for metric, metric math and composite alarms, and knows no functions.
Other actions (Auto Scaling, EC2, Systems Manager) are not taken; the local Application Auto Scaling reads the states.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from laptop.ministack.alarm_states import stamp
from laptop.ministack.deliveries import invoke_function

LOG: Final = logging.getLogger(__name__)
_ACTIONS: Final = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def install_alarm_actions() -> None:
    """Patch MiniStack's dispatch, which all changes of state come through."""
    from ministack.services import cloudwatch

    cloudwatch._dispatch_alarm_actions = act


def act(alarm: Mapping[str, Any], old: str, new: str, reason: str) -> None:
    """Take the actions of a state that an alarm has just come to."""
    from ministack.core.arn import parse_arn
    from ministack.services import sns

    if not alarm.get("ActionsEnabled", True) or old == new:
        return
    for action in alarm.get(_ACTIONS[new]) or ():
        try:
            service = parse_arn(action).service
            if service == "sns":
                subject = f'{new}: "{alarm["AlarmName"]}" in {region_name(_region())}'[:100]
                if sns.publish_internal(action, json.dumps(_message(alarm, old, new, reason)), subject) is None:
                    LOG.warning("the topic %s of alarm %s does not exist", action, alarm["AlarmName"])
            elif service == "lambda":
                invoke_function(action, json.dumps(_event(alarm, old, new, reason)))
        except Exception:  # an alarm's other actions do not depend on this one
            LOG.exception("alarm %s does not reach %s", alarm["AlarmName"], action)


def _message(alarm: Mapping[str, Any], old: str, new: str, reason: str) -> dict[str, Any]:
    """Return the notification, with CloudWatch's keys in CloudWatch's order."""
    message: dict[str, Any] = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": _account(),
    }
    if "AlarmRule" not in alarm:
        message["AlarmConfigurationUpdatedTimestamp"] = stamp(alarm.get("AlarmConfigurationUpdatedTimestamp", 0))
    message |= {
        "NewStateValue": new,
        "NewStateReason": reason,
        "StateChangeTime": stamp(time.time()),
        "Region": region_name(_region()),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        **{key: alarm.get(key) or [] for key in ("OKActions", "AlarmActions", "InsufficientDataActions")},
    }
    if "AlarmRule" in alarm:
        triggers = json.loads(alarm.get("StateReasonData") or "{}").get("triggeringAlarms", ())
        children = [
            {"Arn": item["arn"], "State": {"Value": item["state"]["value"], "Timestamp": item["state"]["timestamp"]}}
            for item in triggers
        ]
        return message | {"AlarmRule": alarm["AlarmRule"], "TriggeringChildren": children}
    return message | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    trigger: dict[str, Any] = {}
    if not alarm.get("Metrics"):
        kind = "ExtendedStatistic" if alarm.get("ExtendedStatistic") else "Statistic"
        statistic = alarm.get(kind) or "Average"
        trigger = {
            "MetricName": alarm["MetricName"],
            "Namespace": alarm["Namespace"],
            "StatisticType": kind,
            kind: statistic.upper() if kind == "Statistic" else statistic,
            "Unit": alarm.get("Unit"),
            "Dimensions": _dimensions(alarm.get("Dimensions")),
        }
    trigger |= {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        **({"DatapointsToAlarm": alarm["DatapointsToAlarm"]} if alarm.get("DatapointsToAlarm") else {}),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm["Threshold"],
        "TreatMissingData": alarm.get("TreatMissingData") or "missing",
        "EvaluateLowSampleCountPercentile": "",
    }
    if alarm.get("Metrics"):
        del trigger["Period"]
        trigger["Metrics"] = [_query(query) for query in alarm["Metrics"]]
    return trigger


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in query:
        return dict(query)
    stat = query["MetricStat"]
    metric = stat["Metric"] | {"Dimensions": _dimensions(stat["Metric"].get("Dimensions"))}
    return {**query, "MetricStat": {**stat, "Metric": metric}}


def _dimensions(items: Any) -> list[dict[str, str]]:
    return [{"value": item["Value"], "name": item["Name"]} for item in items or ()]


def _event(alarm: Mapping[str, Any], old: str, new: str, reason: str) -> dict[str, Any]:
    """Return what CloudWatch invokes a function with (user guide, "Invoke a Lambda function from an alarm")."""
    now = stamp(time.time())
    state = {"value": new, "reason": reason, "timestamp": now}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    configuration = {"alarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"metrics": _metrics(alarm)}
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm["AlarmArn"],
        "accountId": _account(),
        "time": now,
        "region": _region(),
        "alarmData": {
            "alarmName": alarm["AlarmName"],
            "state": state,
            "previousState": {"value": old},
            "configuration": {"description": alarm.get("AlarmDescription") or ""} | configuration,
        },
    }


def _metrics(alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    if alarm.get("Metrics"):
        return [
            {"id": query["Id"], "returnData": query.get("ReturnData", True)}
            | ({"expression": query["Expression"]} if "Expression" in query else _stat(query["MetricStat"]))
            for query in alarm["Metrics"]
        ]
    wanted = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    stat = {"Metric": alarm, "Period": alarm["Period"], "Stat": wanted}
    return [{"id": "m1", "returnData": True} | _stat(stat)]


def _stat(stat: Mapping[str, Any]) -> dict[str, Any]:
    metric = stat["Metric"]
    dimensions = {item["Name"]: item["Value"] for item in metric.get("Dimensions") or ()}
    named = {"namespace": metric["Namespace"], "name": metric["MetricName"], "dimensions": dimensions}
    return {"metricStat": {"metric": named, "period": stat["Period"], "stat": stat["Stat"]}}


@cache
def region_name(region: str) -> str:
    """Return a region's name as notifications write it, such as US East (N. Virginia)."""
    import botocore.session

    for partition in botocore.session.get_session().get_component("endpoint_resolver")._endpoint_data["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region


def _account() -> str:
    from ministack.core.responses import get_account_id

    return str(get_account_id())


def _region() -> str:
    from ministack.core.responses import get_region

    return str(get_region())
