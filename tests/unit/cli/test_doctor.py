"""`passerelle doctor`: what it prints and which exit code it ends with, on the laptop and for an account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.account import examine_account, load_environment
from cli.main import main
from passerelle.aws.account import Account, CredentialsError, PermissionLackingError
from passerelle.domain.preflight import Finding
from passerelle.domain.preflight import account as rules
from passerelle.domain.preflight.instances import DatabaseOffer
from passerelle.domain.preflight.quotas import Quota, by_name
from passerelle.errors import PasserelleError, ProjectError, SettingsError, TransientError
from tests.unit.cli.preflight import CERTIFICATE, ROOT, given, project, tracking

ARN = "arn:aws:sts::123456789012:assumed-role/deployer/ada"
QUOTAS = {
    "sagemaker": [
        Quota("ml.m5.large for processing job usage", "L-1", 4),
        Quota("ml.m5.xlarge for spot training job usage", "L-2", 4),
        Quota("ml.m5.large for endpoint usage", "L-3", 4),
    ],
    "lambda": [Quota("Concurrent executions", "L-4", 1000)],
    "fargate": [
        Quota("Fargate On-Demand vCPU resource count", "L-5", 6),
        Quota("Fargate Spot vCPU resource count", "L-6", 6),
    ],
    "codebuild": [
        Quota("Concurrently running builds for Linux/Small environment", "L-9", 1),
        Quota("Concurrently running builds for ARM/Small environment", "L-10", 1),
    ],
    "vpc": [Quota("VPCs per Region", "L-7", 5)],
    "ec2": [Quota("EC2-VPC Elastic IPs", "L-8", 5)],
}


class FitAccount(Account):
    """An account that lacks nothing, but for what a test changes: a fact, or the error that asking for it gives."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(self._no_client, region="us-east-1")
        self.changes, self.asked = changes, list[str]()

    def _no_client(self, service: str, region: str) -> Any:
        raise AssertionError(f"asked AWS itself: {service} in {region}")

    def _fact(self, name: str, value: Any) -> Any:
        self.asked.append(name)
        found = self.changes.get(name, value)
        if isinstance(found, Exception):
            raise found
        return found

    def identity(self, *_: Any) -> rules.Identity:
        found: rules.Identity = self._fact("identity", rules.Identity("123456789012", ARN))
        return found

    def regions(self) -> dict[str, str]:
        return dict(self._fact("regions", {"us-east-1": "ENABLED_BY_DEFAULT"}))

    def parameter(self, name: str) -> str | None:
        found: str | None = self._fact("parameter", "30")
        return found

    def has_bucket(self, bucket: str, *, owner: str) -> bool:
        return bool(self._fact("has_bucket", owner == "123456789012"))

    def quotas(self, service: str) -> dict[str, Quota]:
        return by_name(self._fact(f"quotas {service}", QUOTAS[service]))

    def zones(self) -> dict[str, str]:
        return dict(self._fact("zones", {"us-east-1a": "available", "us-east-1b": "available"}))

    def vpcs(self) -> list[rules.Vpc]:
        return list(self._fact("vpcs", [rules.Vpc("vpc-default", ("172.31.0.0/16",))]))

    def addresses(self) -> int:
        return int(self._fact("addresses", 0))

    def offered_instances(self, types: Any) -> set[str]:
        return set(self._fact("offered_instances", types))

    def database_offers(self, *_: str) -> list[DatabaseOffer]:
        return list(self._fact("database_offers", [DatabaseOffer("gp3", True, ("us-east-1a", "us-east-1b"))]))

    def certificate(self, arn: str) -> rules.Certificate | None:
        found: rules.Certificate | None = self._fact("certificate", rules.Certificate("ISSUED", ("*.example.com",)))
        return found

    def secret_state(self, name: str) -> str | None:
        found: str | None = self._fact("secret_state", "ready")
        return found

    def identity_provider(self, issuer: str, *, account: str) -> rules.IdentityProvider | None:
        found: rules.IdentityProvider | None = self._fact("identity_provider", None)
        return found

    def has_role(self, name: str) -> bool:
        return bool(self._fact(f"has_role {name.removeprefix('AWSServiceRoleFor')}", True))

    def may_create_service_role(self, deployer_arn: str, service: str) -> bool | None:
        found: bool | None = self._fact("may_create_service_role", True)
        return found


DOOR = tracking(
    certificate_arn=CERTIFICATE.format("us-east-1"),
    domain_name="mlflow.example.com",
    oidc={"client_secret_name": "oidc"},
    spot=True,
)
NAT = {"egress": "nat", "cidr": "10.60.0.0/20", "zones": ["a", "b"]}


def examined(account: FitAccount, **environment: Any) -> dict[str, Finding]:
    given_ = given(**({"tracking": DOOR, "network": NAT, "delivery": {"provider": "create"}} | environment))
    findings = list(examine_account(given_, [project(budget=500)], lambda region: account))
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def test_an_account_that_lacks_nothing_is_looked_at_whole_and_found_well() -> None:
    account = FitAccount()
    found = examined(account)
    assert {name: f.found for name, f in found.items() if f.status != "ok"} == {}
    assert {name.split(":")[0] for name in found} == {
        "Credentials", "Region", "CDK bootstrap", "CDK assets bucket", "Availability zones", "Network", "Instance",
        "Database", "Certificate", "OIDC client secret", "GitHub's identity provider", "Quota", "Service-linked role", "Budget", "Idle cost",
    }  # fmt: skip
    assert len([name for name in found if name.startswith("Quota: ")]) == 10


#: Each look, and the findings that are gone when it fails.
LOOKS = {
    "regions": "Region",
    "parameter": "CDK bootstrap",
    "has_bucket": "CDK assets bucket",
    "zones": "Availability zones",
    "offered_instances": "Instance types",
    "database_offers": "Database",
    "certificate": "Certificate",
    "secret_state": "OIDC client secret",
    "quotas sagemaker": "Quotas: sagemaker",
    "quotas lambda": "Quotas: lambda",
    "quotas fargate": "Quotas: fargate",
    "quotas codebuild": "Quotas: codebuild",
    "quotas vpc": "Quotas: vpc",
    "identity_provider": "GitHub's identity provider",
    "addresses": "Quotas: ec2",
    "has_role ECS": "Service-linked role: ECS",
}
ERRORS: dict[str, PasserelleError] = {
    "denied": PermissionLackingError("some:Action", "some:Action is not allowed: why"),
    "unanswered": TransientError("ec2 DescribeVpcs: Throttling: Rate exceeded"),
}


@pytest.mark.parametrize("status", sorted(ERRORS))
@pytest.mark.parametrize("look", sorted(LOOKS))
def test_a_look_that_fails_hides_no_other(look: str, status: str) -> None:
    account = FitAccount(**{look: ERRORS[status]})
    found = examined(account)
    failed = found.pop(LOOKS[look])
    assert failed.status == status
    if status == "denied":
        assert "Ask for some:Action" in failed.remedy
    assert {finding.status for finding in found.values()} == {"ok"}
    assert {*LOOKS, "identity", "vpcs"} <= {*account.asked}


def test_vpcs_that_may_not_be_listed_hide_the_network_and_the_quotas_that_count_them_only() -> None:
    found = examined(FitAccount(vpcs=ERRORS["denied"]))
    assert {name for name, f in found.items() if f.status == "denied"} == {"Network", "Quotas: vpc", "Quotas: ec2"}


def test_without_credentials_only_what_needs_no_account_is_told() -> None:
    account = FitAccount(identity=CredentialsError("The credentials have expired (ExpiredToken). Log in"))
    found = examined(account)
    assert [(name, f.status) for name, f in found.items()] == [
        ("Credentials", "missing"),
        ("Rest of the account", "skipped"),
        ("Budget: flights", "ok"),
        ("Idle cost", "ok"),
    ]
    assert account.asked == ["identity"]


def test_in_another_account_nothing_is_looked_at() -> None:
    account = FitAccount(identity=rules.Identity("999999999999", ARN))
    assert examined(account)["Credentials"].status == "missing"
    assert account.asked == ["identity"]


def test_a_region_that_is_off_is_not_asked_for_what_it_has() -> None:
    account = FitAccount(regions={"us-east-1": "DISABLED"})
    found = examined(account)
    assert (found["Region"].status, found["Rest of the account"].status) == ("missing", "skipped")
    assert account.asked == ["identity", "regions"]


def test_an_environment_without_network_and_server_asks_for_neither() -> None:
    account = FitAccount()
    found = examined(account, tracking=None, network=None)
    assert not {"zones", "vpcs", "addresses", "database_offers", "certificate", "secret_state"} & {*account.asked}
    assert "Quota: VPCs per Region" not in found


def test_a_deployed_environments_own_vpc_and_addresses_use_up_no_quota_again() -> None:
    five = [rules.Vpc(f"vpc-{number}", ("172.31.0.0/16",)) for number in range(4)]
    deployed = FitAccount(vpcs=[*five, rules.Vpc("vpc-own", ("10.60.0.0/20",), "dev")], addresses=5)
    found = examined(deployed)
    assert (found["Quota: VPCs per Region"].status, found["Quota: EC2-VPC Elastic IPs"].status) == ("ok", "ok")
    full = FitAccount(vpcs=[*five, rules.Vpc("vpc-other", ("172.30.0.0/16",))], addresses=5)
    found = examined(full)
    assert (found["Quota: VPCs per Region"].status, found["Quota: EC2-VPC Elastic IPs"].status) == (
        "missing",
        "missing",
    )


def test_a_certificate_of_another_region_is_not_asked_for() -> None:
    account = FitAccount()
    door = tracking(certificate_arn=CERTIFICATE.format("eu-west-1"), domain_name="mlflow.example.com")
    assert examined(account, tracking=door)["Certificate"].status == "missing"
    assert "certificate" not in account.asked


def test_a_role_that_exists_needs_nobody_who_may_make_it() -> None:
    account = FitAccount(may_create_service_role=ERRORS["denied"])
    assert examined(account)["Service-linked role: ECS"].status == "ok"
    absent = FitAccount(**{"has_role ECS": False, "may_create_service_role": ERRORS["denied"]})
    assert examined(absent)["Service-linked role: ECS"].status == "denied"


# The command


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository's dev environment and its project in an account of the test's own."""
    for folder in ("environments", "projects/flights", "node_modules/.bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "node_modules/.bin/cdk").touch()
    dev = (ROOT / "environments/dev.yaml").read_text().replace("111111111111", "123456789012")
    (tmp_path / "environments/dev.yaml").write_text(dev)
    flights = (ROOT / "projects/flights/project.yaml").read_text().replace("monthly_usd: 100", "monthly_usd: 200")
    (tmp_path / "projects/flights/project.yaml").write_text(flights)
    monkeypatch.setattr("cli.deployment.ROOT", tmp_path)
    return tmp_path


def run(account: FitAccount, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(Account, "on_aws", classmethod(lambda _, region: account))
    try:
        main([*arguments, "--env", "dev", "doctor"])
    except SystemExit as stop:
        return int(str(stop.code))
    return 0


def test_a_fit_account_ends_with_0_and_lines_that_people_can_read(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(FitAccount(), monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "✓ CDK bootstrap: version 30" in printed
    assert "Endpoint of flights (1 × ml.m5.large): 730 instance-hour, 83.95 USD" in printed


def test_a_warning_alone_stops_no_deployment(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(FitAccount(parameter="20"), monkeypatch) == 0


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"parameter": None}, 4, "Environment dev lacks: CDK bootstrap."),
        ({"parameter": ERRORS["denied"]}, 4, "Environment dev may not be looked at for: CDK bootstrap."),
        ({"parameter": ERRORS["unanswered"]}, 5, "Environment dev gave no answer about: CDK bootstrap."),
        ({"parameter": None, "zones": ERRORS["unanswered"]}, 4, "lacks: CDK bootstrap; gave no answer about: Availab"),
    ],
)
def test_the_exit_code_tells_what_is_missing_from_what_did_not_answer(
    changes: dict[str, Any], code: int, words: str, checkout: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(FitAccount(**changes), monkeypatch) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--env", "dev", "--json", "doctor"], ["doctor", "--env", "dev", "--json"]])
def test_environment_and_json_may_stand_before_or_after_the_command(
    arguments: list[str], checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Account, "on_aws", classmethod(lambda _, region: FitAccount()))
    main(arguments)
    assert {finding["ok"] for finding in json.loads(capsys.readouterr().out)} == {True}


def test_json_is_one_document_with_status_and_remedy_of_each_finding(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spot = [Quota("ml.m5.xlarge for spot training job usage", "L-2", 0), *QUOTAS["sagemaker"]]
    assert run(FitAccount(**{"quotas sagemaker": spot}), monkeypatch, "--json") == 4
    document = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    finding = document["Quota: ml.m5.xlarge for spot training job usage"]
    assert (finding["status"], finding["ok"]) == ("missing", False)
    assert "--quota-code L-2 --desired-value 1 " in finding["remedy"]
    assert document["Idle cost"]["details"]
    assert set(finding) == {"name", "status", "ok", "found", "remedy", "details"}


def test_commands_to_copy_are_not_broken_at_the_terminals_width(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    run(FitAccount(parameter=None), monkeypatch)
    command = "    node_modules/.bin/cdk bootstrap aws://123456789012/us-east-1 -c env=dev"
    assert command in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "change", "kind", "words"),
    [
        ("prod", ("", ""), SettingsError, r"no .*prod.yaml. Environments: dev"),
        ("dev", ("name: dev", "name: prod"), SettingsError, "write 'dev'"),
        ("dev", ("[flights]", "[flights, planes]"), SettingsError, "passerelle init planes"),
    ],
)
def test_an_environment_that_is_wrong_is_refused_before_aws_is_asked(
    name: str, change: tuple[str, str], kind: type[Exception], words: str, checkout: Path
) -> None:
    path = checkout / "environments/dev.yaml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(kind, match=words):
        load_environment(name, checkout)


def test_a_project_that_is_wrong_is_refused_before_aws_is_asked(checkout: Path) -> None:
    path = checkout / "projects/flights/project.yaml"
    path.write_text(path.read_text().replace("type: binary", "type: trinary"))
    with pytest.raises(ProjectError, match=r"project.yaml:\d+: task.type"):
        load_environment("dev", checkout)


def test_on_the_laptop_the_machine_is_looked_at_and_no_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSERELLE_HOME", str(tmp_path))
    monkeypatch.setattr(Account, "on_aws", classmethod(lambda _, region: pytest.fail("asked an account")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["--json", "doctor"])
    printed = capsys.readouterr()
    findings = json.loads(printed.out)
    names = [finding["name"] for finding in findings]
    assert names == ["Python", "CDK command line", "Disk", "Memory", "AWS port", "MLflow port"]
    assert (stop.value.code, findings[1]["status"]) == (4, "missing")
    assert "This machine lacks: CDK command line" in printed.err
