"""One frozen configuration per environment: everything that differs between environments, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from infra.config_names import ProcessingInstanceType, Region, TagValue
from infra.config_parts import Delivery, EndpointRules, Images, Network, Part, Promotion, Spark, Tracking
from infra.config_slots import AlertAddresses, Data, EnvironmentBudget
from passerelle.errors import SettingsError

FOLDER = Path(__file__).resolve().parent.parent / "environments"
LAPTOP = "laptop"


class PlatformConfig(Part):
    """One environment.

    `retain_data` keeps buckets, table and keys when their stack is deleted, and protects the stack. `tracking_uri` is
    where MLflow answers when the platform does not run one itself (`tracking`). `lambda_dependencies` says whether the
    functions' packages come in a layer (AWS) or from the interpreter that runs them (laptop). `rollout_wait_seconds`
    caps every wait of a change of an endpoint, the shadow's hours included: for environments to try things out in.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,15}$")
    account: str = Field(pattern=r"^\d{12}$")
    region: Region
    stage: Literal["development", "staging", "production"]
    owner: TagValue
    cost_centre: TagValue
    quiet_window_seconds: Annotated[int, Field(ge=1, le=3_600)]
    poll_seconds: Annotated[int, Field(ge=1, le=600)]
    rollout_wait_seconds: Annotated[int, Field(ge=0, le=259_200)] = 259_200
    reconcile_minutes: Annotated[int, Field(ge=1, le=1_440)]
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365, 731]
    retain_data: bool
    data: Data
    alerts: AlertAddresses
    budget: EnvironmentBudget | None = None
    lambda_dependencies: Literal["layer", "host"]
    lambda_architecture: Literal["arm64", "x86_64"]
    prepare_instance_type: ProcessingInstanceType
    images: Images
    network: Network | None = None
    tracking: Tracking | None = None
    spark: Spark | None = None
    serving: EndpointRules = EndpointRules()
    tracking_uri: str | None = Field(default=None, pattern=r"^https?://")
    projects: tuple[str, ...]
    delivery: Delivery | None = None
    promotion: Promotion | None = None

    @model_validator(mode="after")
    def _one_tracking_server(self) -> Self:
        if (self.tracking is None) == (self.tracking_uri is None):
            raise ValueError(
                "give either `tracking` (the platform runs MLflow) or `tracking_uri` (one that runs elsewhere)"
            )
        if self.tracking and not self.network:
            raise ValueError("`tracking` needs a `network` to run in; copy the section from environments/dev.yaml")
        if self.tracking and self.network and len(self.network.zones) < 2:
            raise ValueError("network.zones: RDS and load balancers need at least two availability zones")
        return self

    @model_validator(mode="after")
    def _certificate_is_here(self) -> Self:
        """Load balancers take certificates of their own region and account (ACM user guide, "Supported Regions")."""
        arn = self.tracking.certificate_arn if self.tracking else None
        if arn and arn.split(":")[3:5] != [self.region, self.account]:
            raise ValueError(
                f"tracking.certificate_arn: {arn} is of another region or account than this environment's "
                f"({self.region}, {self.account}); request one there"
            )
        return self

    @field_validator("projects")
    @classmethod
    def _named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: named twice")
        return value

    @model_validator(mode="after")
    def _delivery_is_tried(self) -> Self:
        if self.delivery and self.delivery.smoke_project not in self.projects:
            raise ValueError(
                f"delivery.smoke_project: {self.delivery.smoke_project!r} is none of `projects` ({self.projects})"
            )
        if self.delivery and self.delivery.smoke == "drop" and self.stage == "production":
            raise ValueError("delivery.smoke: a test's data must not train a production model; write `predict`")
        return self

    @model_validator(mode="after")
    def _spark_is_on_aws(self) -> Self:
        if self.spark and self.images.source == "local":
            raise ValueError("spark: EMR Serverless is on AWS only; here Spark runs inside the processing job")
        if self.spark and self.images.source == "docker":
            raise ValueError(
                "spark: EMR Serverless may not pull from the CDK's repository; write images.source: codebuild"
            )
        return self

    @model_validator(mode="after")
    def _production_is_safe(self) -> Self:
        if self.stage == "production" and not self.retain_data:
            raise ValueError("retain_data: a production environment must keep its data when a stack is deleted")
        if self.stage == "production" and self.tracking and not self.tracking.multi_az:
            raise ValueError("tracking.multi_az: a production database needs a standby in another zone")
        if self.stage == "production" and not (self.alerts.page and self.budget):
            raise ValueError(
                "alerts.page, budget: somebody must be woken when production is down or its money runs out"
            )
        return self


def load_config(name: str, overrides: Mapping[str, Any] | None = None) -> PlatformConfig:
    """Return the configuration of an environment; `overrides` are for the laptop only.

    Raises SettingsError naming the file, the fields and what is wrong with each.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in FOLDER.glob("*.yaml")))
        raise SettingsError(f"No environment {name!r}: there is no {path}. Environments: {known}.")
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    if given and name != LAPTOP:
        raise SettingsError(f"Environment {name!r} takes no overrides ({', '.join(given)}): edit {path}.")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise SettingsError(f"{path}: expected fields with values, such as `name: {name}`; found {document!r}.")
        config = PlatformConfig.model_validate({**document, **given})
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {_problem(item)}" for item in error.errors())) from error
    if config.name != name:
        raise SettingsError(f"{path}: name: {config.name!r} would deploy into that environment; write {name!r}.")
    return config


def _problem(item: Mapping[str, Any]) -> str:
    """Return one problem in words: field, what is wrong, and the value where the rule does not say it."""
    words = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "string_type" and isinstance(item["input"], int | float):
        words = f"{item['input']} is a number to YAML; put it in quotes"
    elif item["type"] == "string_pattern_mismatch":
        words = f"{words} (got {item['input']!r})"
    field = ".".join(map(str, item["loc"]))
    return f"{field}: {words}" if field else words
