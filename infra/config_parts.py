"""The sections of an environment's configuration, each with the rules that would else fail in mid-deploy."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: Fargate's sizes: CPU units -> memory in MiB (ECS developer guide, "Task CPU and memory").
FARGATE_MEMORY = {
    256: (512, 1_024, 2_048),
    512: tuple(range(1_024, 4_096 + 1, 1_024)),
    1_024: tuple(range(2_048, 8_192 + 1, 1_024)),
    2_048: tuple(range(4_096, 16_384 + 1, 1_024)),
    4_096: tuple(range(8_192, 30_720 + 1, 1_024)),
}
#: MLflow's server has about 350 MiB resident before its first request.
MLFLOW_MIN_MIB = 1_024
_CERTIFICATE = r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}$"


class Part(BaseModel):
    """A section: frozen, and every unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(Part):
    """Which container images run.

    Built from this checkout by CodeBuild at deployment (`codebuild`) or by this machine's Docker before it (`docker`),
    or one of a registry, by tag (`local`: the laptop).
    """

    source: Literal["codebuild", "docker", "local"]


class Network(Part):
    """A VPC of the environment's own.

    `egress` says how private code reaches AWS's APIs: `endpoints` (interface endpoints, 7.30 USD a month each and
    zone), `nat` (32.85 USD a month a gateway, and per GB), `public-egress` (tasks of containers have public addresses
    but let nobody in; only Secrets Manager has an endpoint). S3 and DynamoDB always go through gateway endpoints, free.
    """

    egress: Literal["endpoints", "nat", "public-egress"]
    cidr: str
    zones: tuple[Annotated[str, Field(pattern=r"^[a-f]$")], ...] = Field(min_length=2, max_length=3)
    nat_gateways: Annotated[int, Field(ge=1, le=3)] = 1
    endpoint_zones: Annotated[int, Field(ge=1, le=3)] = 1
    flow_logs: bool = False

    @field_validator("cidr")
    @classmethod
    def _large_enough(cls, value: str) -> str:
        try:
            network = ipaddress.ip_network(value)
        except ValueError as error:
            raise ValueError(
                f"{value!r} is no network in CIDR notation ({error}); write for example 10.60.0.0/20"
            ) from error
        if not network.is_private or network.version != 4:
            raise ValueError(f"{value} is not a private IPv4 network; take one of 10/8, 172.16/12 or 192.168/16")
        if not 16 <= network.prefixlen <= 22:
            raise ValueError(
                f"{value} has {network.num_addresses} addresses; AWS takes at most /16, and subnets for jobs, tasks "
                "and databases in three zones need at least /22 (each SageMaker instance takes an address)"
            )
        return value

    @model_validator(mode="after")
    def _zones_are_there(self) -> Self:
        if len(set(self.zones)) != len(self.zones):
            raise ValueError(f"zones: {', '.join(self.zones)}: a zone is named twice")
        for name in ("endpoint_zones", "nat_gateways"):
            if getattr(self, name) > len(self.zones):
                raise ValueError(f"{name}: {getattr(self, name)} is more than the {len(self.zones)} zones of `zones`")
        return self


class Oidc(Part):
    """Single sign-on at the load balancer; the client secret lies in Secrets Manager under `client_secret_name`."""

    issuer: str = Field(pattern=r"^https://")
    authorization_endpoint: str = Field(pattern=r"^https://")
    token_endpoint: str = Field(pattern=r"^https://")
    user_info_endpoint: str = Field(pattern=r"^https://")
    client_id: str
    client_secret_name: str


class Hours(Part):
    """When the tracking server runs: cron hours in a time zone, Monday to Friday."""

    start: Annotated[int, Field(ge=0, le=23)]
    stop: Annotated[int, Field(ge=1, le=24)]
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            close = ", ".join(difflib.get_close_matches(value, zoneinfo.available_timezones(), n=3))
            raise ValueError(f"{value!r} is no time zone of the IANA database; " + (close or "write for example UTC"))
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stop <= self.start:
            raise ValueError(f"stop: {self.stop} is not after start: {self.start}")
        return self


class Tracking(Part):
    """MLflow on Fargate with PostgreSQL on RDS.

    With a certificate it has a load balancer (HTTPS); with `oidc` too, people sign in there and it faces the internet.
    Without one there is no load balancer: functions find it by its private name, people by `passerelle tracking`.

    `restore_from_snapshot` makes the database from an RDS snapshot. It must stay here as long as that database is to
    stay: CloudFormation replaces it by an empty one when this goes, and by the snapshot's when this changes.
    """

    cpu: Literal[256, 512, 1024, 2048, 4096]
    memory_mib: int
    tasks: Annotated[int, Field(ge=1, le=4)] = 1
    spot: bool = False
    database_instance: str = Field(pattern=r"^t4g\.(micro|small|medium|large)$|^m[678]g\.(large|xlarge|2xlarge)$")
    storage_gb: Annotated[int, Field(ge=20, le=1_000)] = 20
    max_storage_gb: Annotated[int, Field(ge=22, le=4_000)] = 100
    multi_az: bool = False
    backup_days: Annotated[int, Field(ge=1, le=35)] = 7
    restore_from_snapshot: str | None = None
    certificate_arn: str | None = Field(
        default=None, pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}$"
    )
    domain_name: str | None = None
    oidc: Oidc | None = None
    allowed_cidrs: tuple[str, ...] = ()
    hours: Hours | None = None

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.memory_mib not in FARGATE_MEMORY[self.cpu]:
            allowed = ", ".join(map(str, FARGATE_MEMORY[self.cpu]))
            raise ValueError(f"memory_mib: Fargate has no {self.memory_mib} MiB with cpu {self.cpu}; it has {allowed}")
        if self.memory_mib < MLFLOW_MIN_MIB:
            raise ValueError(f"memory_mib: MLflow needs at least {MLFLOW_MIN_MIB} MiB")
        # RDS grows by 10 % at least (RDS user guide, "Storage autoscaling").
        if self.max_storage_gb < self.storage_gb * 1.1:
            raise ValueError(f"max_storage_gb: must be at least 10 % above storage_gb ({self.storage_gb})")
        return self

    @field_validator("restore_from_snapshot")
    @classmethod
    def _is_snapshot(cls, value: str | None) -> str | None:
        # RDS API reference, CreateDBSnapshot; automatic snapshots begin with `rds:`.
        name = r"(rds:)?[A-Za-z](-?[A-Za-z0-9])*"
        arn = rf"arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{{12}}:snapshot:{name}"
        if value is not None and (not re.fullmatch(f"{name}|{arn}", value) or len(value.split(":")[-1]) > 255):
            raise ValueError(
                f"{value!r} names no RDS snapshot; give its name, or its ARN where another account shares it, as "
                "`aws rds describe-db-snapshots --query 'DBSnapshots[].DBSnapshotArn'` prints them"
            )
        return value

    @model_validator(mode="after")
    def _front_door(self) -> Self:
        if bool(self.certificate_arn) != bool(self.domain_name):
            raise ValueError("certificate_arn and domain_name belong together: the certificate is for that name")
        if self.oidc and not self.certificate_arn:
            raise ValueError("oidc: signing in at the load balancer needs HTTPS: give certificate_arn and domain_name")
        if self.allowed_cidrs and not self.certificate_arn:
            raise ValueError("allowed_cidrs: without certificate_arn there is no load balancer that could let them in")
        if self.certificate_arn and not self.allowed_cidrs:
            raise ValueError("allowed_cidrs: say which networks may reach the load balancer, for example your office's")
        for value in self.allowed_cidrs:
            if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+/\d+", value):
                raise ValueError(f"allowed_cidrs: {value!r} is no IPv4 network in CIDR notation")
            if ipaddress.ip_network(value, strict=False).prefixlen == 0 and not self.oidc:
                raise ValueError(
                    "allowed_cidrs: 0.0.0.0/0 is allowed only with oidc; MLflow's own passwords are no boundary"
                )
        return self


class Delivery(Part):
    """From where GitHub Actions may deploy this environment: by OpenID Connect, without a long-lived key.

    `repository` is as GitHub's tokens name it: `owner/name`, or with numbers, `owner@123/name@456`, where the
    repository was created or renamed since 2026-07-15. `provider` says whether this environment makes the account's
    one identity provider for GitHub, or finds it there. After a deployment, `smoke: drop` lets GitHub drop data of
    `smoke_project` and train a model; `smoke: predict` only lets it ask the endpoint.
    """

    repository: str = Field(pattern=r"^[A-Za-z0-9-]+(@\d+)?/[A-Za-z0-9._-]+(@\d+)?$")
    branch: str = Field(default="main", pattern=r"^[A-Za-z0-9._/-]+$")
    provider: Literal["create", "existing"]
    smoke: Literal["drop", "predict"]
    smoke_project: str

    @field_validator("repository")
    @classmethod
    def _numbers_on_both(cls, value: str) -> str:
        if value.count("@") == 1:
            raise ValueError(
                f"{value}: GitHub numbers the owner and the name, or neither; `gh api repos/OWNER/NAME --jq "
                "'.owner.id, .id'` prints both numbers"
            )
        return value


class Spark(Part):
    """EMR Serverless for data that one machine should not prepare: jobs pay for their workers, idle it costs nothing.

    The maximum holds over all jobs at once; a worker has 4 vCPU, and a job begins with four of them. `from_gb`: how
    much data `data.engine: auto` leaves to one machine.
    """

    maximum_vcpus: Annotated[int, Field(ge=16, le=4_000, multiple_of=4)]
    from_gb: Annotated[int, Field(ge=1, le=10_000)] = 20
    idle_minutes: Annotated[int, Field(ge=1, le=60)] = 5


class EndpointRules(Part):
    """What projects may ask of endpoints here. An endpoint that scales to zero fails its first callers for minutes."""

    scale_to_zero: bool = False


class Promotion(Part):
    """Between which environments trained models are carried: both name each other, and each has its own account.

    `takes_from` is where this environment takes models from; `gives_to` are those that may read this one's models and
    the images that trained them. With `organization`, they must belong to it, too.
    """

    takes_from: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{1,15}$")
    gives_to: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,15}$")], ...] = ()
    organization: str | None = Field(default=None, pattern=r"^o-[a-z0-9]{10,32}$")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.takes_from and not self.gives_to:
            raise ValueError("give takes_from, or gives_to, or leave out the section")
        if self.takes_from in self.gives_to:
            raise ValueError(f"gives_to: {self.takes_from} gives models here; none go back")
        return self
