"""SageMaker job requests, whole, as pure functions: what the state machine sends is what the tests validate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from passerelle.contracts import naming, zones
from passerelle.contracts import tags as marks
from passerelle.contracts.container import (
    ENTRYPOINT,
    EVALUATE_INPUTS,
    EVALUATE_OUTPUTS,
    JUDGE_INPUTS,
    JUDGE_OUTPUTS,
    PREPARE_INPUTS,
    PREPARE_OUTPUTS,
    PrepareResult,
)
from passerelle.contracts.study import STUDY_CHANNEL, WARM_START
from passerelle.domain.project import Project
from passerelle.domain.project.gpu_types import has_gpu
from passerelle.domain.training_tries import TrainingTry, first_try
from passerelle.errors import SettingsError

LOCAL: Final = "/opt/ml/processing"
VOLUME_GB: Final = 30
PROCESSING_MAX_SECONDS: Final = 3 * 3600
Request = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class JobPlace:
    """Where and as whom jobs run.

    `gpu_image_uri` is for training on a GPU, "" in an environment without one. `kms_key_arn` "" leaves the encryption
    to the buckets' default; `vpc` is a VpcConfig, or empty. `git_sha` and `lock_hash` are told to training jobs.
    """

    environment: str
    zones: dict[str, str]
    image_uri: str
    gpu_image_uri: str = ""
    role_arn: str
    kms_key_arn: str
    prepare_instance_type: str
    git_sha: str = ""
    lock_hash: str = ""
    vpc: Mapping[str, Any] = field(default_factory=dict)

    def training_image(self, instance_type: str) -> str:
        """Return the image that fits an instance type.

        Raises SettingsError for a GPU where the environment has no image for one.
        """
        if not has_gpu(instance_type):
            return self.image_uri
        if not self.gpu_image_uri:
            raise SettingsError(
                f"{self.environment} has no image for {instance_type}, which has a GPU: no project asked for one when "
                f"it was deployed. Run `passerelle --env {self.environment} deploy` from this project's commit."
            )
        return self.gpu_image_uri


@dataclass(frozen=True, kw_only=True)
class RunRef:
    """One attempt of a run, and the deployed archive of its project."""

    project: str
    run_id: str
    attempt: int
    project_uri: str


def prepare_job(place: JobPlace, run: RunRef, project: Project) -> Request:
    """Return CreateProcessingJob for `prepare`."""
    drop = zones.drop_manifest_key(run.project, run.run_id, run.attempt)
    inputs = {"project": run.project_uri, "drop": zones.s3_uri(place.zones["curated"], drop)}
    result = zones.result_prefix(run.project, run.run_id, run.attempt, "prepare")
    quarantine = zones.quarantine_prefix(run.project, run.run_id, run.attempt)
    outputs = {
        "result": zones.s3_uri(place.zones["curated"], result),
        "quarantine": zones.s3_uri(place.zones["quarantine"], quarantine),
        "curated": zones.s3_uri(place.zones["curated"], run.project),
    }
    return processing_job(place, run, project, "prepare", inputs, PREPARE_INPUTS, outputs, PREPARE_OUTPUTS)


def evaluate_job(
    place: JobPlace, run: RunRef, project: Project, *, training_job: str, test_uri: str, champion_uri: str | None
) -> Request:
    """Return CreateProcessingJob for `evaluate`."""
    output = f"{training_output(place, run)}/{training_job}/output"
    inputs = {
        "project": run.project_uri,
        "model": f"{output}/model.tar.gz",
        "training": f"{output}/output.tar.gz",
        "test": test_uri,
        **({"champion": champion_uri} if champion_uri else {}),
    }
    result = zones.result_prefix(run.project, run.run_id, run.attempt, "evaluate")
    outputs = {"result": zones.s3_uri(place.zones["curated"], result)}
    return processing_job(place, run, project, "evaluate", inputs, EVALUATE_INPUTS, outputs, EVALUATE_OUTPUTS)


def judge_job(
    place: JobPlace, run: RunRef, project: Project, *, listed: Mapping[str, str], model: str = "", suffix: str
) -> Request:
    """Return CreateProcessingJob for `judge`.

    Parameters
    ----------
    listed : by input, the manifest of its objects; one of which there are none has none.
    model : the challenger's model.tar.gz, where recorded requests are replayed.
    suffix : tells the jobs of one attempt apart, which may be deployed more than once.
    """
    result = zones.s3_uri(place.zones["curated"], zones.result_prefix(run.project, run.run_id, run.attempt, "judge"))
    inputs = {"project": run.project_uri, "question": f"{result}/question", **({"model": model} if model else {})}
    outputs = {"result": f"{result}/result"}
    request = processing_job(place, run, project, "judge", inputs | dict(listed), JUDGE_INPUTS, outputs, JUDGE_OUTPUTS)
    for item in request["ProcessingInputs"]:
        if item["InputName"] in listed:
            item["S3Input"]["S3DataType"] = "ManifestFile"
    return request | {"ProcessingJobName": f"{request['ProcessingJobName']}-{suffix}"}


def processing_job(
    place: JobPlace,
    run: RunRef,
    project: Project,
    stage: str,
    inputs: dict[str, str],
    input_paths: dict[str, str],
    outputs: dict[str, str],
    output_paths: dict[str, str],
) -> Request:
    """Return CreateProcessingJob for an entry, by the S3 URIs and the paths of its inputs and outputs."""
    return {
        "ProcessingJobName": naming.job_name(run.project, run.run_id, stage, run.attempt),
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"{LOCAL}/{input_paths[name]}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for name, uri in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"{LOCAL}/{output_paths[name]}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for name, uri in outputs.items()
            ],
            **({"KmsKeyId": place.kms_key_arn} if place.kms_key_arn else {}),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": place.prepare_instance_type,
                "VolumeSizeInGB": VOLUME_GB,
                **({"VolumeKmsKeyId": place.kms_key_arn} if place.kms_key_arn else {}),
            }
        },
        "AppSpecification": {
            "ImageUri": place.image_uri,
            "ContainerEntrypoint": list(ENTRYPOINT),
            "ContainerArguments": [stage],
        },
        "Environment": {"PASSERELLE_ENVIRONMENT": place.environment},
        "NetworkConfig": {
            # Only `prepare` calls AWS itself: it reads raw objects by version.
            "EnableNetworkIsolation": stage != "prepare",
            **({"VpcConfig": dict(place.vpc)} if place.vpc else {}),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": PROCESSING_MAX_SECONDS},
        "RoleArn": place.role_arn,
        "Tags": tags(project, place.environment, run.run_id),
    }


def training_job(
    place: JobPlace,
    run: RunRef,
    project: Project,
    dataset: PrepareResult,
    tried: TrainingTry | None = None,
    *,
    warm_start: str = "",
    study_uri: str = "",
) -> Request:
    """Return CreateTrainingJob for `train`: on managed spot with checkpoints when the project says so.

    A later try of the same run has a name of its own and goes on from the same checkpoints. `warm_start` holds points
    of an earlier study, which only a project that tunes is given; `study_uri` is where the study of this run's tuning
    jobs lies, when such have searched.
    """
    tried = tried or first_try(project.training)
    name = naming.job_name(run.project, run.run_id, "train", run.attempt) + tried.suffix
    training = project.training
    longest = training.max_runtime_minutes * 60
    wait = (training.max_wait_minutes or training.max_runtime_minutes * 2) * 60
    checkpoints = zones.checkpoint_prefix(run.project, f"{run.run_id}-{run.attempt}")
    metric = project.task.metric
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": place.training_image(tried.instance_type),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": f"validation:{metric}", "Regex": f"validation:{metric}=([-0-9.e]+)"}],
        },
        "HyperParameters": {
            "project": run.project,
            "run_id": run.run_id,
            "dataset_id": str(dataset.dataset_id),
            "contract_hash": dataset.contract_hash,
            "seed": str(training.seed),
            "git_sha": place.git_sha,
            "lock_hash": place.lock_hash,
            **({WARM_START: warm_start} if warm_start and training.tuning else {}),
        },
        "InputDataConfig": [
            _channel("project", run.project_uri),
            *(_channel(part, dataset.split[part].uri) for part in ("train", "validation", "test")),
            *([_channel(STUDY_CHANNEL, study_uri)] if study_uri else []),
        ],
        "OutputDataConfig": {
            "S3OutputPath": training_output(place, run),
            **({"KmsKeyId": place.kms_key_arn} if place.kms_key_arn else {}),
        },
        "ResourceConfig": {
            "InstanceType": tried.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": VOLUME_GB,
            **({"VolumeKmsKeyId": place.kms_key_arn} if place.kms_key_arn else {}),
            **({"KeepAlivePeriodInSeconds": training.keep_alive_minutes * 60} if training.keep_alive_minutes else {}),
        },
        "EnableNetworkIsolation": True,
        **({"VpcConfig": dict(place.vpc)} if place.vpc else {}),
        "EnableManagedSpotTraining": tried.spot,
        "StoppingCondition": {
            "MaxRuntimeInSeconds": longest,
            **({"MaxWaitTimeInSeconds": wait} if tried.spot else {}),
        },
        "CheckpointConfig": {
            "S3Uri": zones.s3_uri(place.zones["models"], checkpoints),
            "LocalPath": "/opt/ml/checkpoints",
        },
        "Environment": {"PASSERELLE_ENVIRONMENT": place.environment},
        "RoleArn": place.role_arn,
        "Tags": tags(project, place.environment, run.run_id),
    }


def _channel(name: str, uri: str) -> Request:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def training_output(place: JobPlace, run: RunRef) -> str:
    """Return where SageMaker puts the output of training jobs."""
    return zones.s3_uri(place.zones["models"], zones.training_output_prefix(run.project))


def tags(project: Project, environment: str, run_id: str) -> list[dict[str, str]]:
    """Return the tags by which costs are told apart."""
    known = {
        marks.PROJECT: project.name,
        marks.ENVIRONMENT: environment,
        marks.RUN: run_id,
        marks.COST_CENTRE: project.budget.cost_centre,
    }
    return [{"Key": key, "Value": value} for key, value in {**project.tags, **known}.items()]
