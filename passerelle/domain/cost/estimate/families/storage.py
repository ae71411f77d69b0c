"""Objects, files, images and databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.domain.cost.estimate.parts import HOURS, Component
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError
from passerelle.domain.cost.rates import row_rate

_ENGINES: Final = {"postgres": "RDS PostgreSQL"}


def bucket(resource: Resource) -> Iterator[Component]:
    """AWS::S3::Bucket, all of it in S3 Standard."""
    yield resource.uses("Stored", resource.used("storage_gb"), "s3.storage")
    yield resource.uses("Writes and lists", resource.used("monthly_put_requests"), "s3.put")
    yield resource.uses("Reads", resource.used("monthly_get_requests"), "s3.get")


def images(resource: Resource) -> Iterator[Component]:
    """AWS::ECR::Repository."""
    yield resource.uses("Stored images", resource.used("storage_gb"), "ecr.storage")


def file_system(resource: Resource) -> Iterator[Component]:
    """AWS::EFS::FileSystem, all of it in standard storage."""
    yield resource.uses("Stored", resource.used("storage_gb"), "efs.storage")


def table(resource: Resource) -> Iterator[Component]:
    """AWS::DynamoDB::Table: on demand by requests, else by provisioned capacity."""
    if resource.text("BillingMode", "PROVISIONED") == "PROVISIONED":
        for name, meter in (("Read", "dynamodb.read_capacity"), ("Write", "dynamodb.write_capacity")):
            units = resource.number(f"ProvisionedThroughput.{name}CapacityUnits", 0)
            yield resource.hourly(f"{name} capacity", units, meter)
    else:
        yield resource.uses("Reads", resource.used("monthly_read_requests"), "dynamodb.read")
        yield resource.uses("Writes", resource.used("monthly_write_requests"), "dynamodb.write")
    stored = resource.used("storage_gb")
    yield resource.uses("Stored", stored, "dynamodb.storage")
    if resource.flag("PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"):
        yield resource.uses("Continuous backup", stored, "dynamodb.backup")


def database(resource: Resource) -> Iterator[Component]:
    """AWS::RDS::DBInstance: the instance in the hours in which it runs, and its storage always.

    Backups within the size of the database are free (RDS's pricing page, "Backup storage"), so that none are counted.
    """
    engine, instance_class = resource.text("Engine", "unknown"), resource.text("DBInstanceClass")
    if instance_class == "db.serverless":
        return  # paid with its cluster
    service = _ENGINES.get(engine, f"RDS {engine}")
    zones = "Multi-AZ" if resource.flag("MultiAZ") else "Single-AZ"
    name = f"{instance_class} {zones}"
    rate, hours = row_rate(service, name, resource.region, "hour"), resource.hours
    yield Component(name=f"Instance {name}", quantity=hours, rate=rate, hours=hours)
    if resource.flag("ManageMasterUserPassword"):
        yield resource.exists("Secret with its password", 1, "secrets.secret")
    if resource.value("AllocatedStorage") is not None:
        gigabytes, kind = resource.number("AllocatedStorage"), resource.text("StorageType", "gp2")
        if kind != "gp3" or engine not in _ENGINES:
            raise UnpricedError(f"no price of {kind} storage of {engine} is in the table")
        yield resource.exists(f"Storage gp3 {zones}", gigabytes, f"rds.gp3.{'multi' if zones[0] == 'M' else 'single'}")


def database_cluster(resource: Resource) -> Iterator[Component]:
    """AWS::RDS::DBCluster: Aurora's storage, and its capacity where it is serverless: the least of it, always."""
    optimized = resource.text("StorageType", "aurora") == "aurora-iopt1"
    if resource.value("ServerlessV2ScalingConfiguration") is not None:
        units = resource.number("ServerlessV2ScalingConfiguration.MinCapacity", 0.5)
        meter = "aurora.acu.io_optimized" if optimized else "aurora.acu"
        yield Component(name="Least capacity", quantity=units * HOURS, rate=resource.exists("", 0, meter).rate)
    if optimized:
        raise UnpricedError("no price of I/O-Optimized storage is in the table")
    yield resource.uses("Stored", resource.used("storage_gb"), "aurora.storage")
    yield resource.uses("Reads and writes", resource.used("monthly_io_requests"), "aurora.io")


PRICERS: Final = {
    "AWS::DynamoDB::GlobalTable": table,
    "AWS::DynamoDB::Table": table,
    "AWS::ECR::Repository": images,
    "AWS::EFS::FileSystem": file_system,
    "AWS::RDS::DBCluster": database_cluster,
    "AWS::RDS::DBInstance": database,
    "AWS::S3::Bucket": bucket,
}
