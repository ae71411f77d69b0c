"""Logs end some day; data does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.matters.platform import Platform

GROUP: Final = "AWS::Logs::LogGroup"
#: What holds data that nothing else can make again.
STORES: Final = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::RDS::DBInstance")
PROTECTION: Final = {
    "AWS::DynamoDB::Table": "DeletionProtectionEnabled",
    "AWS::RDS::DBInstance": "DeletionProtection",
}


def every_log_group_ends(platform: Platform) -> Iterator[str]:
    """Logs are paid by the month."""
    for place, item in platform.of(GROUP):
        if not item.get("RetentionInDays"):
            yield f"{place} keeps its logs for ever"


def every_log_has_a_group(platform: Platform) -> Iterator[str]:
    """A log without a declared group gets one from its service, which never ends and has no key of the platform."""
    for place, item in platform.of("AWS::Lambda::Function"):
        if not platform.is_a(place, item.get("LoggingConfig", {}).get("LogGroup"), GROUP):
            yield f"{place} logs into a group that nobody declares"
    for place, item in platform.of("AWS::StepFunctions::StateMachine"):
        wanted = [one["CloudWatchLogsLogGroup"]["LogGroupArn"] for one in _destinations(item)]
        if not wanted or not all(platform.is_a(place, arn, GROUP) for arn in wanted):
            yield f"{place} logs into no group that is declared"
    for place, item in platform.of("AWS::CodeBuild::Project"):
        if not platform.is_a(place, item.get("LogsConfig", {}).get("CloudWatchLogs", {}).get("GroupName"), GROUP):
            yield f"{place} logs into a group that nobody declares"
    for place, item in platform.of("AWS::ECS::TaskDefinition"):
        for container in item["ContainerDefinitions"]:
            options = container.get("LogConfiguration", {}).get("Options", {})
            if not platform.is_a(place, options.get("awslogs-group"), GROUP):
                yield f"{place} {container['Name']} logs into a group that nobody declares"


def _destinations(machine: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = machine.get("LoggingConfiguration", {}).get("Destinations", [])
    return found


def what_holds_data_can_be_restored(platform: Platform) -> Iterator[str]:
    """Versions, points in time and backups, in every environment."""
    for place, item in platform.of("AWS::S3::Bucket"):
        if item.get("VersioningConfiguration", {}).get("Status") != "Enabled":
            yield f"{place} keeps no versions"
        if not item.get("LifecycleConfiguration", {}).get("Rules"):
            yield f"{place} never lets a version go"
    for place, item in platform.of("AWS::DynamoDB::Table"):
        if not item.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield f"{place} has no recovery to a point in time"
    for place, item in platform.of("AWS::RDS::DBInstance"):
        if not item.get("BackupRetentionPeriod"):
            yield f"{place} has no backups"


def production_outlives_its_stack(platform: Platform) -> Iterator[str]:
    """What production holds is kept when its stack goes, and databases refuse to be deleted at all."""
    if platform.environment != "prod":
        return
    for place, item in platform.of(*STORES):
        resource = platform.resource(place)
        if not {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} <= {"Retain", "Snapshot"}:
            yield f"{place} is deleted with its stack"
        if PROTECTION.get(resource["Type"]) and item.get(PROTECTION[resource["Type"]]) is not True:
            yield f"{place} may be deleted by mistake"
