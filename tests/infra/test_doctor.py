"""What `passerelle doctor` counts before a deployment is what the templates then deploy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.account import load_environment
from passerelle.domain.preflight import quotas
from passerelle.domain.preflight.idle_cost import CostLine, platform_lines
from passerelle.domain.preflight.quotas import quota_needs

ROOT = Path(__file__).resolve().parents[2]
Resources = Callable[[str, str], dict[str, dict[str, Any]]]
HOURS = 730


def quantity(lines: list[CostLine], start: str) -> float:
    return sum(line.quantity for line in lines if line.what.startswith(start))


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_idle_costs_count_what_the_templates_have(name: str, resources: Resources) -> None:
    environment, _ = load_environment(name, ROOT)
    lines = platform_lines(environment)
    endpoints = [item["Properties"] for item in resources(name, "AWS::EC2::VPCEndpoint").values()]
    doors = sum(len(item["SubnetIds"]) for item in endpoints if item["VpcEndpointType"] == "Interface")
    assert quantity(lines, "Interface endpoints") == doors * HOURS
    assert quantity(lines, "NAT gateways") == len(resources(name, "AWS::EC2::NatGateway")) * HOURS
    assert quantity(lines, "Encryption key") == len(resources(name, "AWS::KMS::Key"))
    # RDS keeps the database's password in a secret of its own.
    databases = list(resources(name, "AWS::RDS::DBInstance").values())
    assert quantity(lines, "Secrets") == len(resources(name, "AWS::SecretsManager::Secret")) + len(databases)
    assert quantity(lines, "Its storage") == sum(int(item["Properties"]["AllocatedStorage"]) for item in databases)
    balancers = resources(name, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert quantity(lines, "Load balancer") == len(balancers) * HOURS


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_quotas_count_the_tasks_and_networks_that_the_templates_have(name: str, resources: Resources) -> None:
    environment, projects = load_environment(name, ROOT)
    needs = {need.name: need for need in quota_needs(environment, projects, vpcs=0, addresses=0)}
    assert needs["VPCs per Region"].at_least == len(resources(name, "AWS::EC2::VPC"))
    builds = [item["Properties"]["Environment"] for item in resources(name, "AWS::CodeBuild::Project").values()]
    assert {item["ComputeType"] for item in builds} == {"BUILD_GENERAL1_SMALL"}
    kinds = {"LINUX_CONTAINER": quotas.X86_BUILDS, "ARM_CONTAINER": quotas.ARM_BUILDS}
    assert {kinds[item["Type"]] for item in builds} == {key for key in needs if "running builds" in key}
    cpus = [int(item["Properties"]["Cpu"]) for item in resources(name, "AWS::ECS::TaskDefinition").values()]
    (service,) = resources(name, "AWS::ECS::Service").values()
    tasks = int(service["Properties"]["DesiredCount"])
    provider = service["Properties"]["CapacityProviderStrategy"][0]["CapacityProvider"]
    schema, server = min(cpus) / 1024, max(cpus) / 1024 * tasks
    fargate, spot = needs["Fargate On-Demand vCPU resource count"], needs.get("Fargate Spot vCPU resource count")
    if provider == "FARGATE_SPOT":
        assert spot
        assert (fargate.at_least, spot.at_least) == (schema, server)
    else:
        assert (fargate.at_least, spot) == (schema + server, None)
