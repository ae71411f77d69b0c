"""The objects of a transform job: a prefix's, or those that a manifest names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from laptop.sagemaker.jobs.batch.failures import TransformError
from laptop.sagemaker.jobs.transfer import list_keys, relative_path
from passerelle.contracts.zones import split_s3_uri


@dataclass(frozen=True)
class InputObject:
    """One object, and where its output lies below S3OutputPath, without `.out`."""

    bucket: str
    key: str
    relative: str


def input_objects(s3: Any, source: Mapping[str, Any]) -> list[InputObject]:
    """Return a job's objects, of an S3DataSource.

    Raises TransformError when there are none, or the manifest is none; TransferError when S3 refuses.
    """
    uri = source["S3Uri"]
    bucket, key = split_s3_uri(uri)
    if source["S3DataType"] == "ManifestFile":
        return _listed(_manifest(s3, bucket, key, uri), uri)
    keys = list_keys(s3, bucket, key)
    if not keys:
        raise TransformError(f'ClientError: No S3 objects found under S3 URL "{uri}"')
    return [InputObject(bucket, found, relative_path(found, key)) for found in keys]


def _manifest(s3: Any, bucket: str, key: str, uri: str) -> Any:
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError) as error:
        raise TransformError(f"ClientError: Failed to download the manifest file {uri}: {error}") from error
    except ValueError as error:
        raise TransformError(f"ClientError: The manifest file {uri} is not JSON: {error}") from error


def _listed(document: Any, uri: str) -> list[InputObject]:
    """The form of TransformS3DataSource's documentation: `[{"prefix": "s3://bucket/a/"}, "b", "c/d"]`."""
    head = document[0] if isinstance(document, list) and document else None
    prefix = head.get("prefix") if isinstance(head, dict) else None
    if not isinstance(prefix, str) or not prefix.startswith("s3://"):
        raise TransformError(f'ClientError: The manifest file {uri} must begin with {{"prefix": "s3://…"}}')
    names = document[1:]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TransformError(f"ClientError: The manifest file {uri} must name at least one object, each as a string")
    bucket, base = split_s3_uri(prefix)
    return [InputObject(bucket, base + name, name.lstrip("/")) for name in names]
