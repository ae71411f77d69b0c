"""Judge what an account is: who calls, region, bootstrap, network, certificate, secret, service-linked roles."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from passerelle.domain.preflight.environment import EXAMPLE_ACCOUNTS, Environment, Network, Tracking
from passerelle.domain.preflight.finding import Finding, advised, required
from passerelle.domain.project import Project

#: The CDK's own bootstrap, under its default qualifier.
BOOTSTRAP_PARAMETER: Final = "/cdk-bootstrap/hnb659fds/version"
#: What aws-cdk-lib 2.275.0 asks of it: file assets need 6, the look-up role 8 (core/lib/stack-synthesizers).
BOOTSTRAP_NEEDED: Final = 8
#: From 21 the publishing role writes into this account's buckets only (CDK guide, "Bootstrap version history").
BOOTSTRAP_SAFE: Final = 21
#: AWS refuses requests that are five minutes off (IAM user guide, "Signing AWS requests").
SKEW_REFUSED_SECONDS: Final = 300
SKEW_NOTED_SECONDS: Final = 60
CLOCK_REMEDY: Final = "Let this machine's clock follow a time server (chrony, systemd-timesyncd)."
CERTIFICATE_NOTICE: Final = timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """Who calls AWS; `skew_seconds` is this machine's clock minus AWS's."""

    account: str
    arn: str
    skew_seconds: float = 0.0


@dataclass(frozen=True)
class Vpc:
    """A VPC of the region, with the environment that it belongs to, if any."""

    id: str
    cidrs: tuple[str, ...]
    environment: str | None = None


@dataclass(frozen=True)
class Certificate:
    """A certificate of ACM."""

    status: str
    names: tuple[str, ...]
    not_after: datetime | None = None
    renewed_by_aws: bool = True


def judge_identity(identity: Identity, environment: Environment) -> Iterator[Finding]:
    """Is it the environment's account, not its root user, and is this machine's clock right?"""
    file = f"environments/{environment.name}.yaml"
    if identity.account == environment.account:
        root = identity.arn.endswith(":root")
        yield advised(
            "Credentials", not root, identity.arn, "This is the root user: sign in with a role of IAM Identity Center."
        )
    else:
        example = environment.account in EXAMPLE_ACCOUNTS
        yield Finding(
            "Credentials",
            "missing",
            f"{identity.arn} is of account {identity.account}; {file} deploys into {environment.account}",
            f'{file} has the example\'s account; write account: "{identity.account}" if that is where it should go.'
            if example
            else f"Set AWS_PROFILE to a profile of {environment.account}, or correct `account` in {file}.",
        )
    off = abs(identity.skew_seconds)
    direction = "ahead of" if identity.skew_seconds > 0 else "behind"
    if off > SKEW_NOTED_SECONDS:
        yield Finding(
            "Clock",
            "missing" if off >= SKEW_REFUSED_SECONDS else "warning",
            f"{off:.0f} s {direction} AWS's; from {SKEW_REFUSED_SECONDS} s on AWS refuses requests",
            CLOCK_REMEDY,
        )


def judge_region(environment: Environment, regions: Mapping[str, str]) -> Finding:
    """`regions`: every region of the partition with its opt-in status (AWS Account Management, ListRegions)."""
    region = environment.region
    status = regions.get(region)
    if status is None:
        near = difflib.get_close_matches(region, regions, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return Finding("Region", "missing", f"AWS has no region {region}", f"Correct `region`.{hint}")
    if status in ("ENABLED", "ENABLED_BY_DEFAULT"):
        return Finding("Region", "ok", region)
    if status == "ENABLING":
        return Finding("Region", "missing", f"{region} is being enabled", "Wait some minutes and run this again.")
    return Finding(
        "Region", "missing", f"{region} is not enabled in this account ({status})",
        f"aws account enable-region --region-name {region} (minutes to hours), or choose another `region`.",
    )  # fmt: skip


def bootstrap_command(environment: Environment) -> str:
    """Return the command that bootstraps the environment's account and region."""
    return f"node_modules/.bin/cdk bootstrap aws://{environment.account}/{environment.region} -c env={environment.name}"


def judge_bootstrap(environment: Environment, version: str | None) -> Finding:
    """`version`: the value of the bootstrap's SSM parameter, None when there is none."""
    command = bootstrap_command(environment)
    if version is None or not version.isdigit():
        return Finding("CDK bootstrap", "missing", f"no {BOOTSTRAP_PARAMETER} in {environment.region}", command)
    if int(version) < BOOTSTRAP_NEEDED:
        return Finding("CDK bootstrap", "missing", f"version {version}; this CDK needs {BOOTSTRAP_NEEDED}", command)
    old = f"version {version}; before {BOOTSTRAP_SAFE}, assets could be written to a bucket of another account"
    safe = int(version) >= BOOTSTRAP_SAFE
    return advised("CDK bootstrap", safe, f"version {version}" if safe else old, command)


def bootstrap_bucket(environment: Environment) -> str:
    """Return the bucket of the CDK's assets."""
    return f"cdk-hnb659fds-assets-{environment.account}-{environment.region}"


def judge_bucket(environment: Environment, exists: bool) -> Finding:
    """The parameter alone proves nothing: people empty accounts of their buckets."""
    bucket = bootstrap_bucket(environment)
    return required(
        "CDK assets bucket",
        exists,
        bucket if exists else f"no bucket {bucket}",
        f"Delete the stack CDKToolkit if it is there, then: {bootstrap_command(environment)}",
    )


def judge_zones(network: Network, region: str, zones: Mapping[str, str]) -> Finding:
    """`zones`: the region's availability zones with their state."""
    wanted = [f"{region}{letter}" for letter in network.zones]
    lacking = [zone for zone in wanted if zones.get(zone) != "available"]
    offered = ", ".join(sorted(zone.removeprefix(region) for zone, state in zones.items() if state == "available"))
    return required(
        "Availability zones",
        not lacking,
        f"{', '.join(lacking)} not available to this account" if lacking else ", ".join(wanted),
        f"Set network.zones to zones among: {offered}.",
    )


def judge_cidr(environment: Environment, network: Network, vpcs: Sequence[Vpc]) -> Finding:
    """Networks that overlap cannot be peered, nor joined by a transit gateway (VPC peering guide, "Limitations")."""
    own = ipaddress.ip_network(network.cidr)
    clashes = [
        f"{vpc.id} ({cidr})"
        for vpc in vpcs
        if vpc.environment != environment.name
        for cidr in vpc.cidrs
        if own.overlaps(ipaddress.ip_network(cidr))
    ]
    found = f"{network.cidr} overlaps {', '.join(clashes)}: they can never be peered" if clashes else network.cidr
    return advised("Network", not clashes, found, "Choose another network.cidr before the first deployment.")


def judge_certificate(
    environment: Environment, tracking: Tracking, certificate: Certificate | None, now: datetime
) -> Finding:
    """Is it issued, for the right name, here, and still valid next month?"""
    name, arn, domain = "Certificate", str(tracking.certificate_arn), str(tracking.domain_name)
    region, account = arn.split(":")[3:5]
    if region != environment.region or account != environment.account:
        return Finding(
            name, "missing", f"{arn} is in {region}, account {account}",
            f"A load balancer takes those of its own account and region only: request one in {environment.region}.",
        )  # fmt: skip
    request = f"aws acm request-certificate --region {region} --domain-name {domain} --validation-method DNS"
    if certificate is None:
        return Finding(name, "missing", f"{arn} does not exist", f"{request}, then set tracking.certificate_arn.")
    if certificate.status != "ISSUED":
        remedy = "Add the CNAME record that `aws acm describe-certificate` shows to the domain's zone, and wait."
        pending = certificate.status == "PENDING_VALIDATION"
        return Finding(name, "missing", f"{certificate.status}, not ISSUED", remedy if pending else request)
    if not any(_covers(pattern, domain) for pattern in certificate.names):
        found = f"covers {', '.join(certificate.names)}, not {domain}"
        return Finding(name, "missing", found, f"{request}, or correct tracking.domain_name.")
    end = certificate.not_after
    if end and end - now < CERTIFICATE_NOTICE and not certificate.renewed_by_aws:
        return Finding(
            name, "warning", f"ends on {end:%Y-%m-%d}; AWS does not renew an imported one", "Import a new one."
        )
    return Finding(name, "ok", f"ISSUED for {domain}")


def _covers(pattern: str, domain: str) -> bool:
    """A wildcard stands for exactly one label (RFC 6125, 6.4.3)."""
    pattern, domain = pattern.lower().rstrip("."), domain.lower().rstrip(".")
    if pattern.startswith("*."):
        return domain.partition(".")[2] == pattern[2:]
    return pattern == domain


def judge_secret(name: str, state: str | None, region: str) -> Finding:
    """`state`: `ready`, `empty` or `deleted`; None when there is no such secret."""
    create = (
        f"aws secretsmanager create-secret --region {region} --name {name} --secret-string file://client-secret.txt"
    )
    remedy = {
        "deleted": f"aws secretsmanager restore-secret --region {region} --secret-id {name}",
        "empty": f"aws secretsmanager put-secret-value --region {region} --secret-id {name} "
        "--secret-string file://client-secret.txt",
    }.get(str(state), create)
    words = {"ready": name, "deleted": f"{name} is to be deleted", "empty": f"{name} has no value"}
    found = words.get(str(state), f"no secret {name} in {region}")
    return required("OIDC client secret", state == "ready", found, remedy)


#: GitHub's issuer and the audience that its tokens for AWS name.
GITHUB_ISSUER: Final = "token.actions.githubusercontent.com"
GITHUB_AUDIENCE: Final = "sts.amazonaws.com"


@dataclass(frozen=True)
class IdentityProvider:
    """An account's OpenID Connect provider, with the environment that made it, if any."""

    audiences: tuple[str, ...]
    environment: str | None = None


def judge_provider(environment: Environment, provider: str, found: IdentityProvider | None) -> Finding:
    """An account has one provider per issuer: making a second one fails, and so does trusting one that is not there."""
    name = "GitHub's identity provider"
    if provider == "create":
        own = found is None or found.environment == environment.name
        whose = f" of environment {found.environment}" if found and found.environment else ""
        words = "made at the deployment" if found is None else "exists"
        return required(
            name, own, words if own else f"the account has one already{whose}", "Write delivery.provider: existing."
        )
    if found is None:
        return Finding(name, "missing", "the account has none", "Write delivery.provider: create.")
    return required(
        name,
        GITHUB_AUDIENCE in found.audiences,
        f"exists, for {', '.join(found.audiences)}",
        "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "
        f"arn:aws:iam::{environment.account}:oidc-provider/{GITHUB_ISSUER} --client-id {GITHUB_AUDIENCE}",
    )


@dataclass(frozen=True)
class ServiceRole:
    """A service-linked role: its name, the service that assumes it, and what needs it."""

    name: str
    service: str
    why: str


def service_roles(environment: Environment, projects: Sequence[Project]) -> list[ServiceRole]:
    """Return the service-linked roles that the environment's resources use."""
    found = []
    if environment.tracking:
        found.append(ServiceRole("AWSServiceRoleForECS", "ecs.amazonaws.com", "MLflow's tasks"))
        found.append(ServiceRole("AWSServiceRoleForRDS", "rds.amazonaws.com", "MLflow's database"))
        if environment.tracking.certificate_arn:
            load_balancing = "elasticloadbalancing.amazonaws.com"
            found.append(ServiceRole("AWSServiceRoleForElasticLoadBalancing", load_balancing, "the load balancer"))
    if environment.spark:
        name = "AWSServiceRoleForAmazonEMRServerless"
        found.append(ServiceRole(name, "ops.emr-serverless.amazonaws.com", "preparation on Spark"))
    if any(project.serving.profile == "real-time" for project in projects):
        name = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        found.append(ServiceRole(name, "sagemaker.application-autoscaling.amazonaws.com", "scaling of endpoints"))
    return found


def deployment_role(environment: Environment) -> str:
    """Return the ARN of the role by which CloudFormation deploys for the CDK."""
    name = f"cdk-hnb659fds-cfn-exec-role-{environment.account}-{environment.region}"
    return f"arn:aws:iam::{environment.account}:role/{name}"


def judge_service_role(role: ServiceRole, *, exists: bool, deployer_may_create: bool | None) -> Finding:
    """Absent is well when the deployment may make it: services make their role at its first use.

    `deployer_may_create` is None when there is no role yet by which the CDK deploys.
    """
    name = f"Service-linked role: {role.name.removeprefix('AWSServiceRoleFor')}"
    if not exists and deployer_may_create is None:
        found = "does not exist; who deploys, and may make it, is known after the bootstrap"
        return Finding(name, "skipped", found, "Bootstrap, and run this again.")
    if exists or deployer_may_create:
        return Finding(name, "ok", "exists" if exists else f"made by AWS at the deployment ({role.why})")
    return Finding(
        name,
        "missing",
        f"does not exist, and the CDK's deployment role may not create it ({role.why})",
        f"aws iam create-service-linked-role --aws-service-name {role.service}",
    )
