"""Settings of the Lambda functions: one frozen record per function, and the only place that reads the environment.

The infrastructure writes a function's environment with `to_env()`, the handler reads it with `from_env()`: the names
cannot come apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from passerelle.errors import SettingsError

PREFIX: Final = "PASSERELLE_"


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """What every function knows. Values of fields that are mappings travel as JSON."""

    environment: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the record.

        Raises SettingsError naming every variable that is missing or not readable.
        """
        problems, values = [], {}
        for item in fields(cls):
            name = PREFIX + item.name.upper()
            if name not in environ:
                problems.append(f"{name} is missing")
                continue
            try:
                values[item.name] = _read(str(item.type), environ[name])
            except ValueError as error:
                problems.append(f"{name}={environ[name]!r} is not a {item.type}: {error}")
        if problems:
            raise SettingsError(f"The environment of this function is wrong ({cls.__name__}): {'; '.join(problems)}")
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Return the environment variables that `from_env` reads."""
        return {PREFIX + item.name.upper(): _write(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, kw_only=True)
class RunFunctionSettings(FunctionSettings):
    """What every function that has to do with runs knows."""

    runs_table: str


def _read(kind: str, text: str) -> Any:
    if kind.startswith(("dict", "Mapping")):
        return json.loads(text)
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text


def _write(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


@dataclass(frozen=True, kw_only=True)
class ClaimDropSettings(RunFunctionSettings):
    """claim_drop and reconcile_drops: which bucket, which pipeline."""

    raw_bucket: str
    reports_bucket: str
    pipeline_arn: str


@dataclass(frozen=True, kw_only=True)
class ReconcileDropsSettings(ClaimDropSettings):
    """As for claims; an object younger than `grace_seconds` may still be announced by its own event."""

    grace_seconds: int


@dataclass(frozen=True, kw_only=True)
class JobSettings(RunFunctionSettings):
    """What SageMaker requests are made of. `zones` maps zone to bucket; `vpc` is a VpcConfig, or empty.

    `gpu_image_uri` trains on instances with a GPU; "" where no project asks for one.
    """

    zones: dict[str, str]
    image_uri: str
    gpu_image_uri: str = ""
    job_role_arn: str
    region: str
    kms_key_arn: str
    prepare_instance_type: str
    git_sha: str
    lock_hash: str
    vpc: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GatherDropSettings(JobSettings):
    """gather_drop: how long files that belong together may be apart.

    `spark_application` is "" where the environment has no EMR Serverless: the job then chooses its engine by itself;
    else `spark_from_gb` is what one machine prepares.
    """

    quiet_window_seconds: int
    poll_seconds: int
    spark_application: str = ""
    spark_role_arn: str = ""
    spark_from_gb: int = 20


@dataclass(frozen=True, kw_only=True)
class RecordDatasetSettings(JobSettings):
    """record_dataset; `spark_application` as for gather_drop."""

    spark_application: str = ""


@dataclass(frozen=True, kw_only=True)
class RecordTuningSettings(JobSettings):
    """record_tuning."""


@dataclass(frozen=True, kw_only=True)
class RecordTrainingSettings(JobSettings):
    """record_training."""


@dataclass(frozen=True, kw_only=True)
class RecordEvaluationSettings(RunFunctionSettings):
    """record_evaluation."""

    zones: dict[str, str]
    region: str


@dataclass(frozen=True, kw_only=True)
class RegisterModelSettings(RunFunctionSettings):
    """register_model: where MLflow answers; `tracking_secret` "" when it asks for no password."""

    zones: dict[str, str]
    tracking_uri: str
    tracking_secret: str = ""
    git_sha: str
    lock_hash: str


@dataclass(frozen=True, kw_only=True)
class ImportRunSettings(RunFunctionSettings):
    """import_run: the environment that models come from, and the role that it lends.

    `carried_repository` is where images are copied to, "" where all environments run one image anyway (laptop).
    """

    zones: dict[str, str]
    image_uri: str
    carried_repository: str
    source_environment: str
    source_account: str
    source_region: str
    reader_role_arn: str
    poll_seconds: int


@dataclass(frozen=True, kw_only=True)
class PlanDeploymentSettings(RunFunctionSettings):
    """plan_deployment: an update of an endpoint waits nowhere longer than `rollout_wait_seconds`."""

    zones: dict[str, str]
    image_uri: str
    model_role_arn: str
    kms_key_arn: str
    alerts_topic_arn: str
    rollout_wait_seconds: int
    vpc: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JudgeShadowSettings(RunFunctionSettings):
    """judge_shadow: where jobs run that read what endpoints were asked, and as whom."""

    zones: dict[str, str]
    image_uri: str
    judge_role_arn: str
    kms_key_arn: str
    prepare_instance_type: str
    vpc: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordShadowSettings(RunFunctionSettings):
    """record_shadow."""

    zones: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class SmokeTestSettings(RunFunctionSettings):
    """smoke_test."""

    zones: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class BeginExperimentSettings(RunFunctionSettings):
    """begin_experiment."""


@dataclass(frozen=True, kw_only=True)
class PromoteModelSettings(RunFunctionSettings):
    """promote_model: as for register_model."""

    tracking_uri: str
    tracking_secret: str = ""


@dataclass(frozen=True, kw_only=True)
class LogWindowsSettings(PromoteModelSettings):
    """log_windows: as for register_model."""


@dataclass(frozen=True, kw_only=True)
class RecordPredictionsSettings(RunFunctionSettings):
    """record_predictions: `hash_key_secret` is "" where no project has a personal entity."""

    zones: dict[str, str]
    hash_key_secret: str = ""


@dataclass(frozen=True, kw_only=True)
class JoinLabelsSettings(RecordPredictionsSettings):
    """join_labels: as for record_predictions, whose spelling of entities it reads."""


@dataclass(frozen=True, kw_only=True)
class WatchDriftSettings(JudgeShadowSettings):
    """watch_drift: whom it tells; a job like judge_shadow's counts windows of more than `job_from_mib` of records."""

    alerts_topic_arn: str
    job_from_mib: int


@dataclass(frozen=True, kw_only=True)
class MeterCostsSettings(RunFunctionSettings):
    """meter_costs: where the ledger lies, whose executions it meters; `spark_application` as for gather_drop."""

    zones: dict[str, str]
    region: str
    training_pipeline_arn: str
    deploy_model_arn: str
    watch_project_arn: str
    spark_application: str = ""


@dataclass(frozen=True, kw_only=True)
class CloseRunSettings(RunFunctionSettings):
    """close_run."""


@dataclass(frozen=True, kw_only=True)
class FailRunSettings(RunFunctionSettings):
    """fail_run."""


@dataclass(frozen=True, kw_only=True)
class BuildImageSettings(FunctionSettings):
    """build_image: all else comes with the resource."""


@dataclass(frozen=True, kw_only=True)
class UpgradeSchemaSettings(FunctionSettings):
    """upgrade_schema: all else comes with the resource."""
