"""Documented rules that botocore's model does not hold. Each raises ValidationException in SageMaker's manner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from laptop.sagemaker.errors import invalid, limit_exceeded

Request = Mapping[str, Any]


def check_training(request: Request) -> None:
    """Rules of CreateTrainingJob (API reference and "Use managed spot training")."""
    stop, spot = request["StoppingCondition"], bool(request.get("EnableManagedSpotTraining"))
    longest = stop.get("MaxRuntimeInSeconds", 86_400)
    wait = stop.get("MaxWaitTimeInSeconds")
    if spot and wait is None:
        raise invalid("MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true")
    if not spot and wait is not None:
        raise invalid("MaxWaitTimeInSeconds can be set only when EnableManagedSpotTraining is true")
    if wait is not None and wait < longest:
        raise invalid(
            f"Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds "
            f"({wait} < {longest})"
        )
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification")
    resources = request.get("ResourceConfig", {})
    _check_instances(resources)
    if resources.get("KeepAlivePeriodInSeconds") and spot:
        raise invalid("Warm pools (KeepAlivePeriodInSeconds) cannot be combined with managed spot training")
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    _check_unique("ChannelName", channels)
    for channel in request.get("InputDataConfig", ()):
        _check_source(channel["DataSource"], channel["ChannelName"])
        mode = channel.get("InputMode", algorithm.get("TrainingInputMode"))
        if mode == "Pipe":
            raise limit_exceeded("The laptop's SageMaker does not stream Pipe channels; use File or FastFile")
    _check_checkpoint(request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints"))


def _check_checkpoint(path: str) -> None:
    if not path.startswith("/opt/ml/") or ".." in path or path.rstrip("/") == "/opt/ml":
        # The folder is emptied before a start: on the laptop it must never be one of the host's.
        raise invalid(f"CheckpointConfig.LocalPath {path} must be under /opt/ml/ on the laptop")
    for reserved in ("/opt/ml/model", "/opt/ml/input", "/opt/ml/output"):
        if path.rstrip("/").startswith(reserved):
            raise invalid(f"CheckpointConfig.LocalPath {path} must not be under {reserved}")


def check_processing(request: Request) -> None:
    """Rules of CreateProcessingJob."""
    inputs = request.get("ProcessingInputs", ())
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    _check_unique("InputName", [item["InputName"] for item in inputs])
    _check_unique("OutputName", [item["OutputName"] for item in outputs])
    for item in inputs:
        if "S3Input" not in item:
            raise limit_exceeded(f"ProcessingInput {item['InputName']}: the laptop's SageMaker reads S3Input only")
        if item["S3Input"].get("S3DataType") == "ManifestFile":
            raise limit_exceeded(f"ProcessingInput {item['InputName']}: the laptop's SageMaker reads S3Prefix only")
        _check_processing_path(item["S3Input"].get("LocalPath"), f"ProcessingInput {item['InputName']}")
    for item in outputs:
        if "S3Output" not in item:
            raise limit_exceeded(f"ProcessingOutput {item['OutputName']}: the laptop's SageMaker writes S3Output only")
        _check_processing_path(item["S3Output"].get("LocalPath"), f"ProcessingOutput {item['OutputName']}")
    _check_instances(request["ProcessingResources"]["ClusterConfig"])


def check_transform(request: Request) -> None:
    """Rules of CreateTransformJob."""
    concurrent, payload = request.get("MaxConcurrentTransforms", 1), request.get("MaxPayloadInMB", 6)
    if concurrent * payload > 100:
        raise invalid(f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB ({concurrent} * {payload})")
    split = request["TransformInput"].get("SplitType", "None")
    if request.get("BatchStrategy") == "MultiRecord" and split == "None":
        raise invalid("BatchStrategy MultiRecord needs a SplitType other than None")
    if split not in ("None", "Line"):
        raise limit_exceeded(f"SplitType {split}: the laptop's SageMaker splits by Line or not at all")
    if request.get("DataProcessing"):
        raise limit_exceeded("DataProcessing filters are not offered by the laptop's SageMaker")
    _check_instances(request["TransformResources"])


def _check_instances(resources: Request) -> None:
    if resources.get("InstanceCount", 1) > 1:
        raise limit_exceeded(
            f"The laptop is one instance; InstanceCount {resources['InstanceCount']} is more than its limit of 1"
        )


def _check_unique(what: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise invalid(f"{what} must be unique; repeated: {', '.join(repeated)}")


def _check_source(source: Request, channel: str) -> None:
    s3 = source.get("S3DataSource")
    if not s3:
        raise limit_exceeded(f"Channel {channel}: the laptop's SageMaker reads S3DataSource only")
    if s3["S3DataType"] != "S3Prefix":
        raise limit_exceeded(f"Channel {channel}: the laptop's SageMaker reads S3Prefix only")


def _check_processing_path(path: str | None, what: str) -> None:
    if path is None or not path.startswith("/opt/ml/processing/") or ".." in path:
        raise invalid(f"{what}: LocalPath must be under /opt/ml/processing, not {path}")
