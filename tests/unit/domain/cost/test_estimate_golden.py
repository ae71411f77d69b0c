"""The reference's sums, from templates, to the cent."""

from __future__ import annotations

from typing import Any

import pytest

from passerelle.domain.cost.estimate.engine import estimate
from passerelle.domain.cost.estimate.parts import Estimate
from passerelle.domain.cost.estimate.stacks import Stack

SERVER = {
    "Task": {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {"Cpu": "512", "Memory": "1024", "RequiresCompatibilities": ["FARGATE"]},
    },
    "Server": {
        "Type": "AWS::ECS::Service",
        "Properties": {"LaunchType": "FARGATE", "DesiredCount": 1, "TaskDefinition": {"Ref": "Task"}},
    },
}
DATABASE = {
    "Database": {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {
            "Engine": "postgres",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": "20",
            "StorageType": "gp3",
        },
    }
}
BALANCER = {
    "Door": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["a", "b"]}},
}
INSIDE = {
    "Door": {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": {"Subnets": ["a", "b"], "Scheme": "internal"},
    },
}
GATEWAY = {"Gateway": {"Type": "AWS::EC2::NatGateway", "Properties": {}}}
ADDRESS = {"Address": {"Type": "AWS::EC2::EIP", "Properties": {}}}
SMALL = {
    "Key": {"Type": "AWS::KMS::Key"},
    **{f"Secret{number}": {"Type": "AWS::SecretsManager::Secret"} for number in range(2)},
    **{f"Alarm{number}": {"Type": "AWS::CloudWatch::Alarm"} for number in range(12)},
}


def of(resources: dict[str, Any], region: str = "us-east-1", *, free_tier: bool = False) -> Estimate:
    return estimate([Stack(name="s", template={"Resources": resources})], region=region, free_tier=free_tier)


def served(**variant: Any) -> dict[str, Any]:
    return {
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [{"VariantName": "champion", **variant}]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        },
    }


@pytest.mark.parametrize(
    ("resources", "region", "usd"),
    [
        (SERVER, "us-east-1", 18.02),
        (DATABASE, "us-east-1", 13.98),
        (DATABASE, "eu-west-3", 15.80),
        (BALANCER, "us-east-1", 23.73),
        (INSIDE, "eu-west-3", 19.32),
        (GATEWAY | ADDRESS, "us-east-1", 36.50),
        (GATEWAY, "eu-west-3", 36.50),
        (served(InstanceType="ml.m5.large", InitialInstanceCount=1), "us-east-1", 83.95),
        (served(InstanceType="ml.g5.xlarge", InitialInstanceCount=1), "us-east-1", 1_027.84),
    ],
)
def test_a_golden_sum_is_exact_to_the_cent(resources: dict[str, Any], region: str, usd: float) -> None:
    found = of(resources, region)
    # 23.725 and 15.795 are told as 23.73 and 15.80: half a cent, upwards.
    assert found.fixed_usd == pytest.approx(usd, abs=0.005_01)
    assert found.complete


def test_the_idle_platform_of_the_reference_costs_what_the_reference_says() -> None:
    small = of(SMALL, free_tier=True)
    assert small.fixed_usd == pytest.approx(2.00)
    everything = of(SERVER | DATABASE | BALANCER | GATEWAY | ADDRESS | SMALL, free_tier=True)
    assert everything.fixed_usd == pytest.approx(94.23, abs=0.005_01)
    nat = of(GATEWAY | ADDRESS).fixed_usd
    assert nat / everything.fixed_usd == pytest.approx(0.39, abs=0.005)


def test_a_serverless_endpoint_costs_its_seconds_and_equals_an_instance_at_21_million_calls() -> None:
    found = of(served(ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 5}))
    (work, _) = found.components
    a_million = (work.usd or 0) * 10
    assert a_million == pytest.approx(4.00)
    assert 83.95 / a_million == pytest.approx(21.0, abs=0.05)
    assert found.fixed_usd == 0
