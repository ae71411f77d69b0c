"""Documented rules that botocore's model does not hold. Each raises ValidationException in SageMaker's manner."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from laptop.sagemaker.errors import invalid, limit_exceeded
from laptop.sagemaker.jobs.batch.joining import JSON, KINDS, Joining
from laptop.sagemaker.jobs.batch.jsonpath import JsonPathError
from laptop.sagemaker.jobs.batch.records import DEFAULT_PAYLOAD_MB
from laptop.sagemaker.jobs.batch.tuned import MOST_MB

Request = Mapping[str, Any]
ROOT: Final = PurePosixPath("/opt/ml")


def check_training(request: Request) -> None:
    """Rules of CreateTrainingJob (API reference and "Use managed spot training")."""
    for part in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if request.get(part) is None:
            raise invalid(f"{part} is required (serverless jobs, which need none, are not offered on the laptop)")
    _check_limits(request)
    _check_algorithm(request["AlgorithmSpecification"])
    resources = request["ResourceConfig"]
    _check_instances(resources)
    if resources.get("KeepAlivePeriodInSeconds") and request.get("EnableManagedSpotTraining"):
        raise invalid("Warm pools (KeepAlivePeriodInSeconds) cannot be combined with managed spot training")
    _check_unique("ChannelName", [channel["ChannelName"] for channel in request.get("InputDataConfig", ())])
    for channel in request.get("InputDataConfig", ()):
        _check_channel(channel, request["AlgorithmSpecification"].get("TrainingInputMode"))
    output = request["OutputDataConfig"]
    _check_uri(output["S3OutputPath"], "OutputDataConfig.S3OutputPath")
    if output.get("CompressionType") == "NONE":
        raise limit_exceeded("OutputDataConfig.CompressionType: the laptop's SageMaker writes GZIP only")
    if "CheckpointConfig" in request:
        _check_checkpoints(request["CheckpointConfig"])


def _check_limits(request: Request) -> None:
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


def _check_algorithm(algorithm: Request) -> None:
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification")
    if "AlgorithmName" in algorithm:
        raise limit_exceeded("The laptop's SageMaker has no algorithm resources; give a TrainingImage")
    for definition in algorithm.get("MetricDefinitions", ()):
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise invalid(
                f"MetricDefinitions: {definition['Regex']!r} of {definition['Name']} is not a regular expression: "
                f"{error}"
            ) from error


def _check_channel(channel: Request, default_mode: str | None) -> None:
    name = channel["ChannelName"]
    if name in (".", ".."):
        raise invalid(f"ChannelName {name!r} cannot be the name of a folder")
    source = channel["DataSource"].get("S3DataSource")
    if not source:
        raise limit_exceeded(f"Channel {name}: the laptop's SageMaker reads S3DataSource only")
    if source["S3DataType"] != "S3Prefix":
        raise limit_exceeded(f"Channel {name}: the laptop's SageMaker reads S3Prefix only")
    _check_uri(source["S3Uri"], f"Channel {name}: S3Uri")
    if channel.get("InputMode", default_mode) == "Pipe":
        raise limit_exceeded("The laptop's SageMaker does not stream Pipe channels; use File or FastFile")
    if channel.get("CompressionType") == "Gzip":
        raise invalid(f"Channel {name}: CompressionType Gzip can be used in Pipe mode only")
    if channel.get("RecordWrapperType") == "RecordIO":
        raise limit_exceeded(f"Channel {name}: the laptop's SageMaker does not wrap records")


def _check_checkpoints(config: Request) -> None:
    _check_uri(config["S3Uri"], "CheckpointConfig.S3Uri")
    path = PurePosixPath(config.get("LocalPath", "/opt/ml/checkpoints"))
    if ROOT not in path.parents or ".." in path.parts:
        # The folder is emptied before a start: on the laptop it must never be one of the host's.
        raise invalid(f"CheckpointConfig.LocalPath {path} must be under /opt/ml/ on the laptop")
    for reserved in ("model", "input", "output"):
        if path.is_relative_to(ROOT / reserved):
            raise invalid(f"CheckpointConfig.LocalPath {path} must not be under {ROOT / reserved}")


def below_root(path: str) -> PurePosixPath:
    """Return a container's path relative to /opt/ml, for a place that the checks have let pass."""
    return PurePosixPath(path).relative_to(ROOT)


def check_processing(request: Request) -> None:
    """Rules of CreateProcessingJob."""
    inputs = request.get("ProcessingInputs", ())
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    _check_unique("InputName", [item["InputName"] for item in inputs])
    _check_unique("OutputName", [item["OutputName"] for item in outputs])
    for item in inputs:
        if "S3Input" not in item:
            raise limit_exceeded(f"ProcessingInput {item['InputName']}: the laptop's SageMaker reads S3Input only")
        _check_processing_input(item["S3Input"], f"ProcessingInput {item['InputName']}")
    for item in outputs:
        if "S3Output" not in item:
            raise limit_exceeded(f"ProcessingOutput {item['OutputName']}: the laptop's SageMaker writes S3Output only")
        _check_processing_path(item["S3Output"].get("LocalPath"), f"ProcessingOutput {item['OutputName']}")
        _check_uri(item["S3Output"]["S3Uri"], f"ProcessingOutput {item['OutputName']}: S3Uri")
    _check_instances(request["ProcessingResources"]["ClusterConfig"])


def _check_processing_input(source: Request, what: str) -> None:
    _check_processing_path(source.get("LocalPath"), what)
    _check_uri(source["S3Uri"], f"{what}: S3Uri")
    if source.get("S3InputMode") == "Pipe":
        raise limit_exceeded(f"{what}: the laptop's SageMaker does not stream; use S3InputMode File")
    if source.get("S3CompressionType") == "Gzip":
        raise invalid(f"{what}: S3CompressionType Gzip can be used in Pipe mode only")


def check_transform(request: Request) -> None:
    """Rules of CreateTransformJob."""
    concurrent, payload = request.get("MaxConcurrentTransforms", 1), request.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)
    if payload > MOST_MB:
        raise invalid(f"MaxPayloadInMB cannot be greater than {MOST_MB} MB, and is {payload}")
    if concurrent * payload > MOST_MB:
        raise invalid(
            f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MOST_MB} MB ({concurrent} * {payload})"
        )
    split = request["TransformInput"].get("SplitType", "None")
    if request.get("BatchStrategy") == "MultiRecord" and split == "None":
        raise invalid("BatchStrategy MultiRecord needs a SplitType other than None")
    if split not in ("None", "Line"):
        raise limit_exceeded(f"SplitType {split}: the laptop's SageMaker splits by Line or not at all")
    if request.get("DataCaptureConfig"):
        raise limit_exceeded("DataCaptureConfig of a transform job is not offered by the laptop's SageMaker")
    _check_joining(request)
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise invalid(f"TransformInput: S3DataType {source['S3DataType']} is not compatible with batch transform")
    _check_uri(source["S3Uri"], "TransformInput: S3Uri")
    _check_uri(request["TransformOutput"]["S3OutputPath"], "TransformOutput.S3OutputPath")
    _check_instances(request["TransformResources"])


def _check_joining(request: Request) -> None:
    """Rules of DataProcessing (developer guide, "Associate Prediction Results with Input Records")."""
    try:
        joining = Joining.of(request)
    except JsonPathError as error:
        raise invalid(f"DataProcessing: {error}") from error
    if joining is None:
        return
    if joining.kind not in KINDS:
        given = request["TransformInput"].get("ContentType", "none")
        raise invalid(f"DataProcessing needs a TransformInput.ContentType of {', '.join(KINDS)}, not {given}")
    if joining.kind != JSON and not joining.lines:
        raise invalid(f"DataProcessing of {joining.kind} needs the SplitType Line")
    if joining.lines and request["TransformOutput"].get("AssembleWith") != "Line":
        raise invalid("DataProcessing of records split by Line needs AssembleWith Line")


def _check_instances(resources: Request) -> None:
    if resources.get("InstanceGroups"):
        raise limit_exceeded("The laptop is one instance; InstanceGroups are not offered")
    if resources.get("InstanceCount", 1) > 1:
        raise limit_exceeded(
            f"The laptop is one instance; InstanceCount {resources['InstanceCount']} is more than its limit of 1"
        )


def _check_unique(what: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise invalid(f"{what} must be unique; repeated: {', '.join(repeated)}")


def _check_uri(uri: str, what: str) -> None:
    """Which the model's pattern lets pass: https addresses, and no bucket at all."""
    if not re.fullmatch(r"s3://[^/]+(/.*)?", uri, re.DOTALL):
        raise invalid(f"{what}: {uri!r} must be of the form s3://bucket/prefix")


def _check_processing_path(path: str | None, what: str) -> None:
    root = ROOT / "processing"
    if path is None or not PurePosixPath(path).is_relative_to(root) or ".." in PurePosixPath(path).parts:
        raise invalid(f"{what}: LocalPath must be under /opt/ml/processing, not {path}")
