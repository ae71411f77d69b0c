"""The objects of a transform job: a prefix's, or those that a manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from laptop.sagemaker.jobs.batch.failures import TransformError
from laptop.sagemaker.jobs.transfer import list_keys, read_manifest, relative_path
from passerelle.contracts.zones import split_s3_uri


@dataclass(frozen=True)
class InputObject:
    """One object, and where its output lies below S3OutputPath, without `.out`."""

    bucket: str
    key: str
    relative: str


def input_objects(s3: Any, source: Mapping[str, Any]) -> list[InputObject]:
    """Return a job's objects, of an S3DataSource.

    Raises TransformError when there are none; TransferError when the manifest is none, or S3 refuses.
    """
    uri = source["S3Uri"]
    if source["S3DataType"] == "ManifestFile":
        listed_in, listed = read_manifest(s3, uri)
        return [InputObject(listed_in, found, relative) for found, relative in listed]
    bucket, key = split_s3_uri(uri)
    keys = list_keys(s3, bucket, key)
    if not keys:
        raise TransformError(f'ClientError: No S3 objects found under S3 URL "{uri}"')
    return [InputObject(bucket, found, relative_path(found, key)) for found in keys]
