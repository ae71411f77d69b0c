"""Look at the account that an environment will be deployed into; one check that fails does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from passerelle.domain.preflight import Environment, Finding, read_environment
from passerelle.domain.preflight import account as rules
from passerelle.domain.preflight.idle_cost import judge_cost
from passerelle.domain.preflight.instances import (
    ENGINE,
    ENGINE_VERSION,
    instance_uses,
    judge_database,
    judge_instances,
)
from passerelle.domain.preflight.quotas import QuotaNeed, judge_quota, quota_needs
from passerelle.domain.project import Project, load_project
from passerelle.errors import PasserelleError, SettingsError

if TYPE_CHECKING:
    from passerelle.aws.account import Account


def load_environment(name: str, root: Path) -> tuple[Environment, list[Project]]:
    """Return an environment and its projects from a checkout.

    Raises SettingsError or ProjectError for a file that is missing or wrong.
    """
    path = root / "environments" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in path.parent.glob("*.yaml")))
        raise SettingsError(f"No environment {name!r}: there is no {path}. Environments: {known}.")
    environment = read_environment(path.read_text(encoding="utf-8"), source=str(path))
    if environment.name != name:
        raise SettingsError(f"{path}: name: {environment.name!r} would deploy into that environment; write {name!r}.")
    return environment, [_load(root / "projects" / project / "project.yaml") for project in environment.projects]


def _load(path: Path) -> Project:
    if not path.is_file():
        raise SettingsError(f"No project at {path}. `passerelle init {path.parent.name}` writes a first one.")
    return load_project(path.read_text(encoding="utf-8"), source=str(path))


def examine_account(
    environment: Environment, projects: Sequence[Project], open_account: Callable[[str], Account]
) -> Iterator[Finding]:
    """Yield what was found: who calls, then everything about the account, then what needs no account."""
    opened: list[Account] = []

    def who() -> Iterator[Finding]:
        opened.append(open_account(environment.region))
        yield from rules.judge_identity(opened[0].identity(), environment)

    known = list(_guarded("Credentials", who))
    yield from known
    if known[0].ok:
        yield from _examine_region(AccountCheck(environment, projects, opened[0]))
    else:
        yield _skipped("everything about the account")
    yield from judge_cost(environment, projects)


def _examine_region(check: AccountCheck) -> Iterator[Finding]:
    found = list(_guarded("Region", check.region))
    yield from found
    if found[0].status == "missing":
        yield _skipped("what is in the region")
        return
    for name, look in check.looks():
        yield from _guarded(name, look)


def _skipped(what: str) -> Finding:
    return Finding(
        "Rest of the account", "skipped", f"{what} was not looked at", "Repair the above and run this again."
    )


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn a look that fails into a finding of its own."""
    from passerelle.aws.account import CredentialsError, PermissionLackingError

    try:
        yield from look()
    except PermissionLackingError as error:
        remedy = f"Ask for {error.action} (docs/operations.md lists all that this command reads)."
        yield Finding(name, "denied", str(error), remedy)
    except CredentialsError as error:
        yield Finding(name, "missing", str(error), "Repair the credentials and run this again.")
    except PasserelleError as error:
        yield Finding(name, "unanswered", str(error), "Run this again; if it stays, look at the AWS Health dashboard.")


@dataclass(frozen=True)
class AccountCheck:
    """Every look at one account for one environment; each may fail without the others."""

    environment: Environment
    projects: Sequence[Project]
    account: Account

    def looks(self) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
        """Yield every look with its name, in the order in which people should read them."""
        yield "CDK bootstrap", self.bootstrap
        yield "CDK assets bucket", self.bucket
        if self.environment.network:
            yield "Availability zones", self.zones
            yield "Network", self.network
        yield "Instance types", self.instances
        if self.environment.tracking:
            yield "Database", self.database
            if self.environment.tracking.certificate_arn:
                yield "Certificate", self.certificate
            if self.environment.tracking.oidc:
                yield "OIDC client secret", self.secret
        if self.environment.delivery:
            yield "GitHub's identity provider", self.provider
        for service in ("sagemaker", "lambda", "fargate", "codebuild", "emr-serverless", "vpc", "ec2"):
            yield f"Quotas: {service}", partial(self.quotas, service)
        for role in rules.service_roles(self.environment, self.projects):
            name = f"Service-linked role: {role.name.removeprefix('AWSServiceRoleFor')}"
            yield name, partial(self.service_role, role)

    def region(self) -> Iterator[Finding]:
        yield rules.judge_region(self.environment, self.account.regions())

    def bootstrap(self) -> Iterator[Finding]:
        yield rules.judge_bootstrap(self.environment, self.account.parameter(rules.BOOTSTRAP_PARAMETER))

    def bucket(self) -> Iterator[Finding]:
        bucket = rules.bootstrap_bucket(self.environment)
        yield rules.judge_bucket(self.environment, self.account.has_bucket(bucket, owner=self.environment.account))

    @cached_property
    def _vpcs(self) -> list[rules.Vpc]:
        return self.account.vpcs()

    def zones(self) -> Iterator[Finding]:
        assert self.environment.network
        yield rules.judge_zones(self.environment.network, self.environment.region, self.account.zones())

    def network(self) -> Iterator[Finding]:
        assert self.environment.network
        yield rules.judge_cidr(self.environment, self.environment.network, self._vpcs)

    def instances(self) -> Iterator[Finding]:
        uses = instance_uses(self.environment, self.projects)
        offered = self.account.offered_instances([use.ec2_type for use in uses])
        yield from judge_instances(uses, offered, self.environment.region)

    def database(self) -> Iterator[Finding]:
        tracking, network = self.environment.tracking, self.environment.network
        assert tracking
        offers = self.account.database_offers(ENGINE, ENGINE_VERSION, f"db.{tracking.database_instance}")
        yield judge_database(self.environment, tracking, network.zones if network else (), offers)

    def certificate(self) -> Iterator[Finding]:
        tracking = self.environment.tracking
        assert tracking
        assert tracking.certificate_arn
        # Asked for one of another region or account, ACM would only say that it may not tell.
        here = tracking.certificate_arn.split(":")[3:5] == [self.environment.region, self.environment.account]
        found = self.account.certificate(tracking.certificate_arn) if here else None
        yield rules.judge_certificate(self.environment, tracking, found, datetime.now(UTC))

    def secret(self) -> Iterator[Finding]:
        assert self.environment.tracking
        assert self.environment.tracking.oidc
        name = self.environment.tracking.oidc.client_secret_name
        yield rules.judge_secret(name, self.account.secret_state(name), self.environment.region)

    def provider(self) -> Iterator[Finding]:
        assert self.environment.delivery
        found = self.account.identity_provider(rules.GITHUB_ISSUER, account=self.environment.account)
        yield rules.judge_provider(self.environment, self.environment.delivery.provider, found)

    def quotas(self, service: str) -> Iterator[Finding]:
        needs = [need for need in self._needs(service) if need.service == service]
        if needs:
            quotas = self.account.quotas(service)
            yield from (judge_quota(need, quotas, self.environment.region) for need in needs)

    def _needs(self, service: str) -> list[QuotaNeed]:
        """VPCs and addresses are counted only for the quotas that they use up."""
        deployed = False
        vpcs = addresses = 0
        if self.environment.network and service in ("vpc", "ec2"):
            deployed = any(vpc.environment == self.environment.name for vpc in self._vpcs)
            vpcs = len(self._vpcs) - deployed
            nat = self.environment.network.egress == "nat"
            if nat and service == "ec2":
                own = self.environment.network.nat_gateways if deployed else 0
                addresses = max(self.account.addresses() - own, 0)
        return quota_needs(self.environment, self.projects, vpcs=vpcs, addresses=addresses)

    def service_role(self, role: rules.ServiceRole) -> Iterator[Finding]:
        exists = self.account.has_role(role.name)
        deployer = rules.deployment_role(self.environment)
        may_create = exists or self.account.may_create_service_role(deployer, role.service)
        yield rules.judge_service_role(role, exists=exists, deployer_may_create=may_create)
