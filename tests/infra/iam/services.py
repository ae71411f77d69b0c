"""Schedules, flow logs, databases: what services do in the name of a role that only a resource hands to them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.infra.iam.needs import Need
from tests.infra.iam.templates import Assembly, Resource


def service_needs(assembly: Assembly) -> dict[str, list[Need]]:
    """Return what the roles of schedules, flow logs and databases need."""
    found: defaultdict[str, list[Need]] = defaultdict(list)
    for schedule in assembly.of_type("AWS::Scheduler::Schedule"):
        found[schedule.properties["Target"]["RoleArn"]] += _schedule(schedule, assembly)
    for flows in assembly.of_type("AWS::EC2::FlowLog"):
        if flows.properties.get("DeliverLogsPermissionArn"):
            found[flows.properties["DeliverLogsPermissionArn"]] += _flow_logs(flows, assembly)
    for instance in assembly.of_type("AWS::RDS::DBInstance"):
        if instance.properties.get("MonitoringRoleArn"):
            found[instance.properties["MonitoringRoleArn"]] += _enhanced_monitoring(instance, assembly)
    return found


def _schedule(schedule: Resource, assembly: Assembly) -> Iterator[Need]:
    """EventBridge Scheduler user guide, "Execution role", "Universal targets", "Dead-letter queue", "Encryption"."""
    target, why = schedule.properties["Target"], f"schedule {schedule.logical_id}"
    arn = str(target["Arn"])
    if ":aws-sdk:" in arn:
        service, operation = arn.split(":aws-sdk:")[1].split(":")
        action = f"{service}:{operation[0].upper()}{operation[1:]}"
        yield Need(action, _universal_target(service, json.loads(target["Input"]), assembly), why)
    elif ":function:" in arn:
        yield Need("lambda:InvokeFunction", arn, why)
    elif ":stateMachine:" in arn:
        yield Need("states:StartExecution", arn, why)
    else:
        raise KeyError(f"{why}: tests/infra/iam/services.py does not know what target {arn} needs")
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if queue:
        yield Need("sqs:SendMessage", queue, f"{why}: events it could not deliver")
    if schedule.properties.get("KmsKeyArn"):
        yield Need("kms:Decrypt", schedule.properties["KmsKeyArn"], f"{why} is encrypted")


def _universal_target(service: str, arguments: dict[str, str], assembly: Assembly) -> str:
    if service == "ecs":
        return next(
            assembly.arn_of(item)
            for item in assembly.of_type("AWS::ECS::Service")
            if arguments["Service"] in (assembly.name_of(item), assembly.arn_of(item))
        )
    if service == "rds":
        return assembly.account.arn("rds", f"db:{arguments['DbInstanceIdentifier']}")
    raise KeyError(f"tests/infra/iam/services.py does not know the resources of {service}")


def _flow_logs(flows: Resource, assembly: Assembly) -> Iterator[Need]:
    """VPC user guide, "IAM role for publishing flow logs"; the group exists already."""
    log = assembly.account.arn("logs", f"log-group:{flows.properties['LogGroupName']}:*")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"):
        yield Need(action, log, f"flow log {flows.logical_id}")


def _enhanced_monitoring(instance: Resource, assembly: Assembly) -> Iterator[Need]:
    """RDS user guide, "Enhanced Monitoring": the managed policy AmazonRDSEnhancedMonitoringRole."""
    group = assembly.account.arn("logs", "log-group:RDSOSMetrics")
    for action in ("logs:CreateLogGroup", "logs:PutRetentionPolicy"):
        yield Need(action, group, f"RDS watches {instance.logical_id}")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"):
        yield Need(action, f"{group}:log-stream:any", f"RDS watches {instance.logical_id}")
