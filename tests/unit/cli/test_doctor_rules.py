"""What the checks before a deployment conclude from what an account has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.config import FOLDER, PlatformConfig, load_config
from infra.config_parts import Delivery, Hours, Images, Network, Oidc, Tracking
from infra.config_slots import CostWaiver, EnvironmentBudget
from infra.constructs import github_provider, tracking_database
from infra.stacks.network import FARGATE_ENDPOINTS, FUNCTION_ENDPOINTS
from passerelle.domain.preflight import account as rules
from passerelle.domain.preflight import environment, idle_cost, instances, read_environment
from passerelle.errors import SettingsError
from tests.unit.cli.preflight import CERTIFICATE, given, one, project, tracking

NOW = datetime(2026, 11, 21, tzinfo=UTC)


# The small reading of an environment against the deployment's own


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_both_readings_of_an_environment_agree_on_every_field(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    small = read_environment(path.read_text(), source=str(path)).model_dump()
    assert_within(small, load_config(name).model_dump())


def assert_within(small: dict[str, Any], whole: dict[str, Any]) -> None:
    for key, value in small.items():
        if isinstance(value, dict):
            assert_within(value, whole[key])
        else:
            assert value == whole[key], key


@pytest.mark.parametrize(
    ("small", "whole"),
    [
        (environment.Environment, PlatformConfig),
        (environment.Images, Images),
        (environment.Network, Network),
        (environment.Tracking, Tracking),
        (environment.Hours, Hours),
        (environment.Oidc, Oidc),
        (environment.Delivery, Delivery),
        (environment.Budget, EnvironmentBudget),
        (environment.CostWaiver, CostWaiver),
    ],
)
def test_every_field_of_the_small_reading_has_the_deployments_default(small: Any, whole: Any) -> None:
    for name, field in small.model_fields.items():
        assert field.default == whole.model_fields[name].default, name


def test_constants_are_those_of_the_stacks() -> None:
    assert (github_provider.ISSUER, github_provider.AUDIENCE) == (rules.GITHUB_ISSUER, rules.GITHUB_AUDIENCE)
    assert tracking_database.ENGINE == instances.ENGINE_VERSION
    assert (len(FUNCTION_ENDPOINTS), len(FARGATE_ENDPOINTS)) == (
        idle_cost.FUNCTION_ENDPOINTS,
        idle_cost.FARGATE_ENDPOINTS,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("- a", "expected fields"), ("a: [", "not YAML"), ("name: dev\naccount: 1", r"dev.yaml: account: ")],
)
def test_an_environment_that_cannot_be_read_names_file_and_field(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_environment(text, source="dev.yaml")


# Who calls, where


def test_the_right_account_is_well_and_its_root_user_is_not() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/deployer/ada"
    assert [f.status for f in rules.judge_identity(rules.Identity("123456789012", arn), given())] == ["ok"]
    (root,) = rules.judge_identity(rules.Identity("123456789012", "arn:aws:iam::123456789012:root"), given())
    assert root.status == "warning"
    assert "root user" in root.remedy


def test_another_account_is_refused_and_the_examples_account_explained() -> None:
    caller = rules.Identity("999999999999", "arn:aws:iam::999999999999:user/ada")
    (other,) = rules.judge_identity(caller, given())
    assert (other.status, "AWS_PROFILE" in other.remedy) == ("missing", True)
    for account in environment.EXAMPLE_ACCOUNTS:
        (example,) = rules.judge_identity(caller, given(account=account))
        assert 'write account: "999999999999"' in example.remedy


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [(-90, "warning", "90 s behind"), (90, "warning", "90 s ahead of"), (301, "missing", "refuses")],
)
def test_a_clock_that_is_off_is_told_before_aws_refuses(seconds: float, status: str, words: str) -> None:
    found = one(rules.judge_identity(rules.Identity("123456789012", "arn:x", seconds), given()), "Clock")
    assert found.status == status
    assert words in found.found


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ("ENABLED", "ok", ""),
        ("ENABLED_BY_DEFAULT", "ok", ""),
        ("ENABLING", "missing", "Wait"),
        ("DISABLED", "missing", "aws account enable-region --region-name us-east-1"),
    ],
)
def test_a_region_must_be_enabled(status: str, verdict: str, words: str) -> None:
    found = rules.judge_region(given(), {"us-east-1": status})
    assert found.status == verdict
    assert words in found.remedy


def test_a_region_that_does_not_exist_gets_its_neighbours_name() -> None:
    found = rules.judge_region(given(region="eu-wset-3"), {"eu-west-3": "ENABLED", "us-east-1": "ENABLED"})
    assert (found.status, "eu-west-3" in found.remedy) == ("missing", True)


@pytest.mark.parametrize(
    ("version", "verdict"), [(None, "missing"), ("7", "missing"), ("8", "warning"), ("20", "warning"), ("21", "ok")]
)
def test_the_bootstrap_must_be_new_enough_for_this_cdk(version: str | None, verdict: str) -> None:
    found = rules.judge_bootstrap(given(), version)
    assert found.status == verdict
    assert ("cdk bootstrap aws://123456789012/us-east-1" in found.remedy) is (verdict != "ok")


def test_a_bootstrap_whose_bucket_is_gone_is_not_one() -> None:
    found = rules.judge_bucket(given(), False)
    assert (found.status, "CDKToolkit" in found.remedy) == ("missing", True)
    assert rules.judge_bucket(given(), True).found == "cdk-hnb659fds-assets-123456789012-us-east-1"


# Network


def test_zones_that_the_account_lacks_are_named_with_those_that_it_has() -> None:
    network = given(network={"egress": "nat", "cidr": "10.0.0.0/20", "zones": ["a", "e"]}).network
    assert network
    found = rules.judge_zones(
        network, "us-east-1", {"us-east-1a": "available", "us-east-1c": "available", "us-east-1e": "impaired"}
    )
    assert found.status == "missing"
    assert (found.found, found.remedy) == (
        "us-east-1e not available to this account",
        "Set network.zones to zones among: a, c.",
    )


def test_an_overlap_with_another_network_is_a_warning_and_with_the_own_one_none() -> None:
    network = given().network
    assert network
    own = rules.Vpc("vpc-own", ("10.60.0.0/20",), "dev")
    far = rules.Vpc("vpc-far", ("172.31.0.0/16", "10.61.0.0/20"))
    near = rules.Vpc("vpc-near", ("192.168.0.0/24", "10.60.8.0/24"), "staging")
    assert rules.judge_cidr(given(), network, [own, far]).status == "ok"
    found = rules.judge_cidr(given(), network, [own, far, near])
    assert (found.status, found.found) == (
        "warning",
        "10.60.0.0/20 overlaps vpc-near (10.60.8.0/24): they can never be peered",
    )


# Certificate, secret, roles


def behind(domain: str = "mlflow.example.com", region: str = "us-east-1") -> environment.Environment:
    return given(tracking=tracking(certificate_arn=CERTIFICATE.format(region), domain_name=domain))


@pytest.mark.parametrize(
    ("names", "domain", "verdict"),
    [
        (("mlflow.example.com",), "mlflow.example.com", "ok"),
        (("example.com", "*.example.com"), "MLflow.example.com", "ok"),
        (("*.example.com",), "a.mlflow.example.com", "missing"),
        (("*.example.com",), "example.com", "missing"),
        (("mlflow.example.org",), "mlflow.example.com", "missing"),
    ],
)
def test_a_certificate_must_be_for_the_domain(names: tuple[str, ...], domain: str, verdict: str) -> None:
    environment_ = behind(domain)
    assert environment_.tracking
    found = rules.judge_certificate(environment_, environment_.tracking, rules.Certificate("ISSUED", names), NOW)
    assert found.status == verdict


@pytest.mark.parametrize(
    ("certificate", "verdict", "words"),
    [
        (None, "missing", "aws acm request-certificate --region us-east-1 --domain-name mlflow.example.com"),
        (rules.Certificate("PENDING_VALIDATION", ("mlflow.example.com",)), "missing", "CNAME"),
        (rules.Certificate("EXPIRED", ("mlflow.example.com",)), "missing", "request-certificate"),
        (rules.Certificate("ISSUED", ("mlflow.example.com",), datetime(2026, 12, 1, tzinfo=UTC), False), "warning", "Import"),
        (rules.Certificate("ISSUED", ("mlflow.example.com",), datetime(2026, 12, 1, tzinfo=UTC), True), "ok", ""),
    ],
)  # fmt: skip
def test_a_certificate_must_be_issued_and_last(certificate: Any, verdict: str, words: str) -> None:
    environment_ = behind()
    assert environment_.tracking
    found = rules.judge_certificate(environment_, environment_.tracking, certificate, NOW)
    assert found.status == verdict
    assert words in found.remedy


def test_a_certificate_of_another_region_serves_no_load_balancer_here() -> None:
    environment_ = behind(region="eu-west-1")
    assert environment_.tracking
    issued = rules.Certificate("ISSUED", ("mlflow.example.com",))
    found = rules.judge_certificate(environment_, environment_.tracking, issued, NOW)
    assert (found.status, "request one in us-east-1" in found.remedy) == ("missing", True)


@pytest.mark.parametrize(
    ("state", "verdict", "command"),
    [
        ("ready", "ok", ""),
        ("deleted", "missing", "restore-secret"),
        ("empty", "missing", "put-secret-value"),
        (None, "missing", "create-secret"),
    ],
)
def test_the_oidc_secret_must_have_a_value(state: str | None, verdict: str, command: str) -> None:
    found = rules.judge_secret("oidc", state, "us-east-1")
    assert found.status == verdict
    assert command in found.remedy
    assert "SecretString" not in found.found


def test_only_roles_that_something_uses_are_asked_for() -> None:
    names = [role.name for role in rules.service_roles(behind(), [project()])]
    assert [name.removeprefix("AWSServiceRoleFor") for name in names] == [
        "ECS", "RDS", "ElasticLoadBalancing", "ApplicationAutoScaling_SageMakerEndpoint",
    ]  # fmt: skip
    serverless = project(serving={"profile": "serverless"})
    assert rules.service_roles(given(tracking=None, network=None), [serverless]) == []


@pytest.mark.parametrize(
    ("exists", "may", "verdict"),
    [(True, None, "ok"), (False, True, "ok"), (False, False, "missing"), (False, None, "skipped")],
)
def test_a_role_that_nobody_may_make_is_missing(exists: bool, may: bool | None, verdict: str) -> None:
    role = rules.service_roles(given(), [])[0]
    found = rules.judge_service_role(role, exists=exists, deployer_may_create=may)
    assert found.status == verdict
    assert ("create-service-linked-role --aws-service-name ecs.amazonaws.com" in found.remedy) is (verdict == "missing")


GITHUB = rules.IdentityProvider(("sts.amazonaws.com",), "dev")


@pytest.mark.parametrize(
    ("provider", "found", "verdict", "words"),
    [
        ("create", None, "ok", "made at the deployment"),
        ("create", GITHUB, "ok", "exists"),
        ("create", rules.IdentityProvider(("sts.amazonaws.com",), "staging"), "missing", "already of environment stag"),
        ("create", rules.IdentityProvider(("sts.amazonaws.com",)), "missing", "the account has one already"),
        ("existing", None, "missing", "the account has none"),
        ("existing", rules.IdentityProvider(("sts.amazonaws.com",)), "ok", "exists"),
        ("existing", rules.IdentityProvider(("https://github.com/x",)), "missing", "for https://github.com/x"),
    ],
)
def test_an_account_has_one_identity_provider_for_github(provider: str, found: Any, verdict: str, words: str) -> None:
    judged = rules.judge_provider(given(), provider, found)
    assert judged.status == verdict
    assert words in judged.found
    assert bool(judged.remedy) is (verdict == "missing")
