"""Sound SageMaker requests, one per operation, for tests to break in one way each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, Final

ROLE: Final = "arn:aws:iam::000000000000:role/job"
IMAGE: Final = "000000000000.dkr.ecr.us-east-1.amazonaws.com/script:1"
Request = dict[str, Any]


def training(name: str, **changes: Any) -> Request:
    """Return a CreateTrainingJob request."""
    return _changed(
        {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://contract/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        changes,
    )


def processing(name: str, **changes: Any) -> Request:
    """Return a CreateProcessingJob request."""
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
    return _changed(
        {
            "ProcessingJobName": name,
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": {"ImageUri": IMAGE},
            "RoleArn": ROLE,
        },
        changes,
    )


def transform(name: str, **changes: Any) -> Request:
    """Return a CreateTransformJob request."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://contract/batch/"}}
    return _changed(
        {
            "TransformJobName": name,
            "ModelName": "contract-model",
            "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
            "TransformOutput": {"S3OutputPath": "s3://contract/scored", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
        changes,
    )


def tuning(name: str, **changes: Any) -> Request:
    """Return a CreateHyperParameterTuningJob request."""
    definition = training("unused")
    del definition["TrainingJobName"]
    definition["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([-0-9.e]+)"}]
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "-2", "MaxValue": "2"}]}
    config = {
        "Strategy": "Random",
        "RandomSeed": 1,
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": ranges,
    }
    request = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": definition,
    }
    return _changed(request, changes)


def model(name: str, **changes: Any) -> Request:
    """Return a CreateModel request."""
    request = {"ModelName": name, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}
    return _changed(request, changes)


def endpoint_config(name: str, **changes: Any) -> Request:
    """Return a CreateEndpointConfig request."""
    return _changed({"EndpointConfigName": name, "ProductionVariants": [variant("main")]}, changes)


def variant(name: str, **changes: Any) -> Request:
    """Return an instance-based production variant."""
    request = {
        "VariantName": name,
        "ModelName": "contract-model",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    return _changed(request, changes)


def serverless(name: str, **changes: Any) -> Request:
    """Return a serverless production variant."""
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    return _changed({"VariantName": name, "ModelName": "contract-model", "ServerlessConfig": config}, changes)


def _changed(request: Request, changes: dict[str, Any]) -> Request:
    """Return the request with `a__b=value` set at a.b, and what is None removed."""
    request = copy.deepcopy(request)
    for path, value in changes.items():
        place, *rest = path.split("__")
        target: Any = request
        for part in rest:
            target, place = target.setdefault(place, {}), part
        if value is None:
            target.pop(place, None)
        else:
            target[place] = value
    return request


def send(post: Callable[[str, bytes], tuple[int, dict[str, Any]]], operation: str, request: Any) -> dict[str, Any]:
    """Send a request raw, as a client without boto3's own checks would; returns the error document."""
    status, document = post(f"SageMaker.{operation}", json.dumps(request).encode())
    assert 400 <= status < 500, (status, document)
    return document
