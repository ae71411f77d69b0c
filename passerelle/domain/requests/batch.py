"""CreateTransformJob, whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from passerelle.contracts.prediction import LOG_VARIABLE
from passerelle.domain.batch import BatchForm, StoredObject, payload_mb
from passerelle.domain.cost.instances import instances

Request = dict[str, Any]
#: Of the endpoint's tags, the run is that of its first deployment.
_NOT_TAKEN: Final = ("passerelle:run", "aws:")


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """One transform job. `kms_key_arn` encrypts its volume and its outputs."""

    name: str
    model_name: str
    manifest_uri: str
    output_uri: str
    form: BatchForm
    inputs: Sequence[StoredObject]
    joined: bool
    instance_type: str
    kms_key_arn: str
    tags: Mapping[str, str]


def transform_job(job: BatchJob) -> Request:
    """Return CreateTransformJob.

    MaxConcurrentTransforms is left to the container, which answers /execution-parameters with its workers.
    """
    by_line = job.form.by_line
    return {
        "TransformJobName": job.name,
        "ModelName": job.model_name,
        "MaxPayloadInMB": payload_mb(job.form, job.inputs),
        **({"BatchStrategy": "MultiRecord"} if by_line else {}),
        # The model of a serverless endpoint would log each prediction: of a batch they lie in its outputs.
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": str(_workers(job.instance_type)), LOG_VARIABLE: ""},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": job.manifest_uri}},
            "ContentType": job.form.content_type,
            "SplitType": "Line" if by_line else "None",
        },
        "TransformOutput": {
            "S3OutputPath": job.output_uri,
            "Accept": job.form.content_type,
            "AssembleWith": "Line" if by_line else "None",
            # Without one SageMaker takes the account's default key of S3, not the bucket's.
            "KmsKeyId": job.kms_key_arn,
        },
        "TransformResources": {
            "InstanceType": job.instance_type,
            "InstanceCount": 1,
            "VolumeKmsKeyId": job.kms_key_arn,
        },
        **({"DataProcessing": {"JoinSource": "Input"}} if job.joined else {}),
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(job.tags.items())],
    }


def _workers(instance_type: str) -> int:
    """One process a processor; one where the type is not in our table."""
    return next((found.vcpus for found in instances() if found.instance_type == instance_type), 1)


def batch_tags(endpoint_tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the tags of a project's batches: those of its endpoint."""
    return {tag["Key"]: tag["Value"] for tag in endpoint_tags if not tag["Key"].startswith(_NOT_TAKEN)}
