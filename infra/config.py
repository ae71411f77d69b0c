"""One frozen configuration per environment: everything that differs between environments, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from passerelle.errors import SettingsError

FOLDER = Path(__file__).resolve().parent.parent / "environments"
LAPTOP = "laptop"


class PlatformConfig(BaseModel):
    """One environment.

    `retain_data` keeps buckets, table and keys when their stack is deleted, and protects the stack. `tracking_uri` is
    where MLflow answers. `lambda_dependencies` says whether the functions' packages come in a layer (AWS) or from the
    interpreter that runs them (laptop).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,15}$")
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    stage: Literal["development", "staging", "production"]
    owner: str
    cost_centre: str
    quiet_window_seconds: Annotated[int, Field(ge=1, le=3_600)]
    poll_seconds: Annotated[int, Field(ge=1, le=600)]
    reconcile_minutes: Annotated[int, Field(ge=1, le=1_440)]
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365, 731]
    retain_data: bool
    lambda_dependencies: Literal["layer", "host"]
    lambda_architecture: Literal["arm64", "x86_64"]
    prepare_instance_type: str = Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    image_tag: str
    tracking_uri: str = Field(pattern=r"^https?://")
    projects: tuple[str, ...]

    @property
    def image_uri(self) -> str:
        """The training and serving image in this account's registry."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/passerelle-training:{self.image_tag}"


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
        lines = [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from error
    if config.name != name:
        raise SettingsError(f"{path}: name: {config.name!r} would deploy into that environment; write {name!r}.")
    return config
