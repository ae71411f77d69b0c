"""Sizes, networks and addresses that AWS would refuse in mid-deploy are refused at synthesis, with field and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from infra.config_parts import Hours, Network, Tracking

NETWORK = {"egress": "endpoints", "cidr": "10.60.0.0/20", "zones": ["a", "b"]}
TRACKING = {"cpu": 512, "memory_mib": 1024, "database_instance": "t4g.micro"}
CERTIFICATE = f"arn:aws:acm:us-east-1:111111111111:certificate/{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}"
DOOR = {"certificate_arn": CERTIFICATE, "domain_name": "mlflow.example.com"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cidr": "10.60.0.0"}, "1 addresses.*at least /22"),
        ({"cidr": "10.60.0.1/20"}, "has host bits set.*write for example"),
        ({"cidr": "10.60.0.0/26"}, "64 addresses.*at least /22"),
        ({"cidr": "10.0.0.0/8"}, "AWS takes at most /16"),
        ({"cidr": "52.0.0.0/20"}, "not a private IPv4 network"),
        ({"cidr": "fd00::/20"}, "not a private IPv4 network"),
        ({"zones": ["a"]}, "at least 2"),
        ({"zones": ["a", "a"]}, "named twice"),
        ({"zones": ["a", "us-east-1b"]}, "pattern"),
        ({"endpoint_zones": 3}, "more than the 2 zones"),
        ({"egress": "nat", "nat_gateways": 3}, "more than the 2 zones"),
        ({"egress": "internet"}, "public-egress"),
        ({"vpc_id": "vpc-1"}, "Extra inputs"),
    ],
)
def test_a_network_that_aws_would_refuse_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Network.model_validate(NETWORK | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory_mib": 512}, "Fargate has no 512 MiB with cpu 512; it has 1024, 2048, 3072, 4096"),
        ({"cpu": 256, "memory_mib": 512}, "MLflow needs at least 1024"),
        ({"cpu": 300}, "cpu"),
        ({"database_instance": "db.t4g.micro"}, "pattern"),
        ({"database_instance": "t3.micro"}, "pattern"),
        ({"storage_gb": 100, "max_storage_gb": 105}, "at least 10 % above"),
        ({"backup_days": 0}, "greater than or equal to 1"),
        ({"certificate_arn": CERTIFICATE}, "belong together"),
        ({"domain_name": "x.example.com"}, "belong together"),
        (DOOR, "say which networks may reach"),
        ({"allowed_cidrs": ["10.0.0.0/8"]}, "no load balancer"),
        (DOOR | {"allowed_cidrs": ["0.0.0.0/0"]}, "only with oidc"),
        (DOOR | {"allowed_cidrs": ["office"]}, "'office' is no IPv4 network"),
        ({"oidc": {"issuer": "http://x"}}, "https"),
    ],
)
def test_a_tracking_server_that_aws_would_refuse_or_anyone_could_enter_is_refused(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        Tracking.model_validate(TRACKING | change)


def test_what_the_rules_allow_is_taken() -> None:
    assert Network.model_validate(NETWORK).endpoint_zones == 1
    door = Tracking.model_validate(TRACKING | DOOR | {"allowed_cidrs": ["203.0.113.0/24"]})
    assert door.oidc is None


@pytest.mark.parametrize(("start", "stop"), [(8, 8), (20, 7), (24, 25)])
def test_hours_must_be_in_order(start: int, stop: int) -> None:
    with pytest.raises(ValidationError):
        Hours(start=start, stop=stop, timezone="Europe/Paris")


def test_a_time_zone_that_there_is_not_is_answered_with_the_closest() -> None:
    with pytest.raises(ValidationError, match="no time zone of the IANA database; Europe/Paris"):
        Hours(start=7, stop=20, timezone="Europe/Pariss")
