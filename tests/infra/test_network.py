"""Who can reach what, in the synthesised templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("infra")
Find = Callable[[str, str], dict[str, dict[str, Any]]]


def _isolated_route_tables(resources: Find, environment: str) -> set[str]:
    tables = resources(environment, "AWS::EC2::RouteTable")
    return {name.split("/")[1] for name in tables if "isolated" in name}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_data_jobs_and_functions_have_no_route_to_the_internet(resources: Find, environment: str) -> None:
    isolated = _isolated_route_tables(resources, environment)
    assert isolated
    for name, route in resources(environment, "AWS::EC2::Route").items():
        assert route["Properties"]["RouteTableId"]["Ref"] not in isolated, name


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_s3_and_dynamodb_are_reached_through_free_gateways_from_every_subnet(resources: Find, environment: str) -> None:
    tables = {name.split("/")[1] for name in resources(environment, "AWS::EC2::RouteTable")}
    gateways = [
        item["Properties"]
        for item in resources(environment, "AWS::EC2::VPCEndpoint").values()
        if item["Properties"]["VpcEndpointType"] == "Gateway"
    ]
    assert len(gateways) == 2
    for gateway in gateways:
        assert {table["Ref"] for table in gateway["RouteTableIds"]} == tables


def test_the_development_network_pays_for_one_endpoint_and_no_gateway(resources: Find) -> None:
    interfaces = [
        item
        for item in resources("dev", "AWS::EC2::VPCEndpoint").values()
        if item["Properties"]["VpcEndpointType"] == "Interface"
    ]
    assert [item["Properties"]["ServiceName"] for item in interfaces] == ["com.amazonaws.us-east-1.secretsmanager"]
    assert len(interfaces[0]["Properties"]["SubnetIds"]) == 1
    assert resources("dev", "AWS::EC2::NatGateway") == {}
    assert resources("dev", "AWS::ElasticLoadBalancingV2::LoadBalancer") == {}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_nobody_from_outside_is_let_in(resources: Find, environment: str) -> None:
    inline = [
        rule
        for group in resources(environment, "AWS::EC2::SecurityGroup").values()
        for rule in group["Properties"].get("SecurityGroupIngress", ())
    ]
    assert inline == []
    for name, rule in resources(environment, "AWS::EC2::SecurityGroupIngress").items():
        assert "SourceSecurityGroupId" in rule["Properties"], name
        assert "CidrIp" not in rule["Properties"], name


def test_only_the_server_reaches_the_database_and_only_functions_the_server(resources: Find) -> None:
    ways = {
        (rule["Properties"]["Description"], rule["Properties"]["FromPort"])
        for rule in resources("prod", "AWS::EC2::SecurityGroupIngress").values()
    }
    assert ways == {("MLflow", 5432), ("Functions", 5000), ("AWS APIs", 443)}


def test_production_logs_its_flows_and_spreads_over_three_zones(resources: Find) -> None:
    assert len(resources("prod", "AWS::EC2::FlowLog")) == 1
    zones = {item["Properties"]["AvailabilityZone"] for item in resources("prod", "AWS::EC2::Subnet").values()}
    assert zones == {"us-east-1a", "us-east-1b", "us-east-1c"}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_jobs_and_models_are_told_to_run_in_the_network(resources: Find, environment: str) -> None:
    for step in ("GatherDrop", "PlanDeployment"):
        functions = resources(environment, "AWS::Lambda::Function")
        (function,) = [item for name, item in functions.items() if f"/{step}" in name]
        variable = json.dumps(function["Properties"]["Environment"]["Variables"]["PASSERELLE_VPC"])
        assert "Subnets" in variable
        assert "JobsGroup" in variable or "GetAttJobs" in variable


def test_only_functions_that_talk_to_mlflow_are_in_the_network(resources: Find) -> None:
    inside = {
        name.split("/")[1]
        for name, item in resources("prod", "AWS::Lambda::Function").items()
        if "VpcConfig" in item["Properties"]
    }
    assert {name.partition("Function")[0] for name in inside} == {"LogWindows", "PromoteModel", "RegisterModel"}
