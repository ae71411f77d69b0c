"""What the checks need of environments/<name>.yaml.

The deployment's own, strict reading is `infra.config`, which the command line may not import. This one reads fewer
fields and leaves their rules to synthesis; a test holds both to the same fields, defaults and values.
"""

from __future__ import annotations

from datetime import date

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from passerelle.errors import SettingsError

#: The accounts in the environments as they are published: nobody's.
EXAMPLE_ACCOUNTS = ("111111111111", "222222222222", "333333333333")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Images(_Part):
    """Where container images come from."""

    source: str


class Network(_Part):
    """The environment's own VPC."""

    egress: str
    cidr: str
    zones: tuple[str, ...]
    nat_gateways: int = 1
    endpoint_zones: int = 1


class Oidc(_Part):
    """Single sign-on; only where its secret lies matters here."""

    client_secret_name: str


class Hours(_Part):
    """When the tracking server runs, Monday to Friday."""

    start: int
    stop: int


class Tracking(_Part):
    """MLflow on Fargate with PostgreSQL on RDS."""

    cpu: int
    memory_mib: int
    tasks: int = 1
    spot: bool = False
    database_instance: str
    storage_gb: int = 20
    multi_az: bool = False
    certificate_arn: str | None = None
    domain_name: str | None = None
    oidc: Oidc | None = None
    hours: Hours | None = None


class Spark(_Part):
    """EMR Serverless, for data that one machine should not prepare."""

    maximum_vcpus: int


class Delivery(_Part):
    """From where GitHub Actions deploys; `provider` is made by this environment (create) or found (existing)."""

    provider: str


class CostWaiver(_Part):
    """Somebody accepts an estimate above a budget, for a while."""

    up_to_usd: float
    name: str
    reason: str
    expires: date
    project: str | None = None


class Budget(_Part):
    """What the whole environment may cost a month."""

    monthly_usd: float
    waivers: tuple[CostWaiver, ...] = ()


class Environment(_Part):
    """One environment as far as its account must be fit for it."""

    name: str
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    prepare_instance_type: str
    images: Images
    network: Network | None = None
    tracking: Tracking | None = None
    delivery: Delivery | None = None
    budget: Budget | None = None
    spark: Spark | None = None
    projects: tuple[str, ...]


def read_environment(text: str, *, source: str) -> Environment:
    """Return the environment that a YAML text declares.

    Raises SettingsError naming the file, the fields and what is wrong with each.
    """
    try:
        document = yaml.safe_load(text)
        if not isinstance(document, dict):
            raise SettingsError(f"{source}: expected fields with values, such as `region: us-east-1`.")
        return Environment.model_validate(document)
    except yaml.YAMLError as error:
        raise SettingsError(f"{source} is not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{source}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from error
