"""Gateways, endpoints, addresses, load balancers and names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.domain.cost.estimate.parts import Component
from passerelle.domain.cost.estimate.resource import Resource
from passerelle.domain.cost.estimate.usage import UnpricedError


def nat_gateway(resource: Resource) -> Iterator[Component]:
    """AWS::EC2::NatGateway; its public address is a resource of its own."""
    yield resource.hourly("Gateway", 1, "nat.hour")
    yield resource.uses("Data", resource.used("monthly_gb"), "nat.gb")


def address(resource: Resource) -> Iterator[Component]:
    """AWS::EC2::EIP: in use or idle, it costs the same."""
    yield resource.hourly("Public address", 1, "public_ipv4.hour")


def endpoint(resource: Resource) -> Iterator[Component]:
    """AWS::EC2::VPCEndpoint: one of type Interface is paid in each zone; gateways are free."""
    kind = resource.text("VpcEndpointType", "Gateway")
    if kind == "Gateway":
        return
    if kind != "Interface":
        raise UnpricedError(f"no price of VPC endpoints of type {kind} is in the table")
    yield resource.hourly("Zones", len(resource.items("SubnetIds")), "vpc_endpoint.hour")
    yield resource.uses("Data", resource.used("monthly_gb"), "vpc_endpoint.gb")


def load_balancer(resource: Resource) -> Iterator[Component]:
    """AWS::ElasticLoadBalancingV2::LoadBalancer: its hours, its public addresses, and its traffic."""
    kind = resource.text("Type", "application")
    meter = {"application": "alb.hour", "network": "nlb.hour"}.get(kind)
    if meter is None:
        raise UnpricedError(f"no price of load balancers of type {kind} is in the table")
    yield resource.hourly("Load balancer", 1, meter)
    if resource.text("Scheme", "internet-facing") == "internet-facing":
        zones = len(resource.items("Subnets") or resource.items("SubnetMappings"))
        yield resource.hourly("Public addresses", zones, "public_ipv4.hour")
    if kind == "application":
        yield resource.uses("Traffic", resource.used("lcu_hours"), "alb.lcu")


def zone(resource: Resource) -> Iterator[Component]:
    """AWS::Route53::HostedZone, and the one that a private namespace of Cloud Map makes."""
    yield resource.exists("Hosted zone", 1, "cloudmap.zone")


PRICERS: Final = {
    "AWS::EC2::EIP": address,
    "AWS::EC2::NatGateway": nat_gateway,
    "AWS::EC2::VPCEndpoint": endpoint,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": load_balancer,
    "AWS::Route53::HostedZone": zone,
    "AWS::ServiceDiscovery::PrivateDnsNamespace": zone,
    "AWS::ServiceDiscovery::PublicDnsNamespace": zone,
}
