"""A model's files: fetched from S3 to where its server expects them, before the server starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from laptop.sagemaker.jobs.transfer import TransferError, download_prefix
from passerelle.contracts.archive import unpack
from passerelle.contracts.zones import split_s3_uri
from passerelle.errors import BundleError

#: ContainerDefinition: AdditionalModelDataSources, one folder a channel.
ADDITIONAL: Final = "additional-model-data-sources"


def fetch_model_data(container: Mapping[str, Any], base: Path, s3: Any) -> None:
    """Fill `base` (/opt/ml) with all that a container definition names: data URL, data source, additional sources.

    Raises TransferError.
    """
    sources = [(source["S3DataSource"], base / ADDITIONAL / source["ChannelName"])
               for source in container.get("AdditionalModelDataSources", ())]  # fmt: skip
    if "ModelDataUrl" in container:
        source = {"S3Uri": container["ModelDataUrl"], "S3DataType": "S3Object", "CompressionType": "Gzip"}
        sources.append((source, base / "model"))
    if "ModelDataSource" in container:
        sources.append((container["ModelDataSource"]["S3DataSource"], base / "model"))
    for source, target in sources:
        target.mkdir(parents=True, exist_ok=True)
        try:
            _fetch(source, target, s3)
        except TransferError:
            raise
        except Exception as error:  # whatever S3's client or the disk raises ends the deployment, with its words
            raise TransferError(
                f'Failed to download model data from URL: "{source["S3Uri"]}". Please ensure that there is an object '
                f"located at the URL and that the role passed to CreateModel may download it: {error}"
            ) from error


def _fetch(source: Mapping[str, Any], target: Path, s3: Any) -> None:
    """S3ModelDataSource: a .tar.gz is unpacked; an object keeps its last name, a prefix the paths below it."""
    bucket, key = split_s3_uri(source["S3Uri"])
    if source["S3DataType"] == "S3Prefix":
        download_prefix(s3, source["S3Uri"], target)
    elif source["CompressionType"] == "None":
        s3.download_file(bucket, key, str(target / key.rpartition("/")[2]))
    else:
        archive = target.with_name(f"{target.name}.tar.gz")
        try:
            s3.download_file(bucket, key, str(archive))
            _unpack(archive, target)
        finally:
            archive.unlink(missing_ok=True)


def _unpack(archive: Path, target: Path) -> None:
    try:
        unpack(archive, target)
    except BundleError as error:
        raise TransferError(f"Model data: {error}") from error
